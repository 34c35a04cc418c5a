/** The library's own kernels: each is the only one of its module. */
import type { KernelParameter, KernelSource } from "../../driver.js"

/** A kernel of PTX. Its name is its symbol. */
export function ptxKernel(name: string, parameters: readonly KernelParameter[], ptx: string): KernelSource {
  const module = { name, label: `Kernel "${name}"`, cuda: { ptx }, host: undefined, globals: [], expressions: [] }
  return { name, parameters, module, symbol: name, export: name }
}
