/** The library's own kernels, of PTX. */
import type { KernelParameter, KernelSource, ModuleSource } from "../../driver/modules.js"

/** A kernel that is the only one of its module. Its name is its symbol. */
export function ptxKernel(name: string, parameters: readonly KernelParameter[], ptx: string): KernelSource {
  return ptxKernelOf(ptxModule(name, ptx), name, parameters)
}

/** A module, which is loaded once for all of its kernels. */
export function ptxModule(name: string, ptx: string): ModuleSource {
  return { name, label: `Kernel "${name}"`, cuda: { ptx }, host: undefined, globals: [], expressions: [] }
}

/** One kernel of a module. Its name is its symbol. */
export function ptxKernelOf(module: ModuleSource, name: string, parameters: readonly KernelParameter[]): KernelSource {
  return { name, parameters, module, symbol: name, export: name }
}
