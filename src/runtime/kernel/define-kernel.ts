/** Defines a kernel with code of its own: a module with one kernel. */
import { checkBoolean } from "../../common/check.js"
import {
  checkDefinition,
  checkKernelName,
  cudaBody,
  type CudaKernelBody,
  exportName,
  hostBody,
  type HostKernelBody,
  kernelNames,
  withoutCode,
} from "./kernel-body.js"
import { Kernel } from "./kernel.js"
import { ModuleState } from "./module-state.js"
import type { Labelled, Parameter } from "./parameter-types.js"
import { parseSignature } from "./signature.js"

/** The definition of a kernel, for {@link defineKernel}. */
export interface KernelDefinition<S extends readonly Parameter[]> {
  /** An identifier: the symbol of the CUDA code (`extern "C"`) and, by default, the export of the host code. */
  readonly name: string
  /** The parameters in order, such as `["int32", "float32", "in float32*", "inout float32*"]`. */
  readonly signature: S
  /** The code for CUDA: CUDA C++ in a file or as a text, PTX, a cubin, or a fatbin. */
  readonly cuda?: CudaKernelBody | undefined
  /**
   * The code for the host device: a JavaScript module's text or URL, or a WebAssembly module. One call runs the whole
   * launch.
   */
  readonly host?: HostKernelBody | undefined
  /**
   * Whether the kernel leaves elements of its `out` arguments unwritten on purpose. Then the sanitizer's check `unwritten`
   * leaves them alone. Default: false.
   */
  readonly partialOutputs?: boolean | undefined
  /**
   * Whether the kernel needs the whole device: for example, because its blocks wait for each other, or because it is as
   * large as the GPU. Then neither {@link autoParallel} nor a measured decision runs anything beside it. Default:
   * false.
   */
  readonly resident?: boolean | undefined
}

/**
 * Defines a kernel, with code for one or both kinds of device. This compiles and loads nothing yet. Call it once, at module
 * level.
 *
 * @param definition its name and signature, and its code for each kind of device
 * @throws AuxstreamError AUX_INVALID_ARGUMENT
 * @example
 * const saxpy = defineKernel({
 *   name: "saxpy",
 *   signature: ["int32", "float32", "in float32*", "inout float32*"],
 *   cuda: { source: `extern "C" __global__ void saxpy(int n, float a, const float* x, float* y) {
 *     int i = blockIdx.x * blockDim.x + threadIdx.x;
 *     if (i < n) y[i] += a * x[i];
 *   }` },
 *   host: { source: `export function saxpy(launch, n, a, x, y) { for (let i = 0; i < n; i++) y[i] += a * x[i] }` },
 * })
 */
export function defineKernel<const S extends readonly Parameter[]>(definition: KernelDefinition<S>): Kernel<Labelled<S>>
export function defineKernel(definition: KernelDefinition<readonly Parameter[]>): Kernel {
  checkDefinition(definition, "{ name, signature, cuda, host }", kernelNames)
  const { name, signature, partialOutputs = false, resident = false } = definition
  checkBoolean(partialOutputs, "partialOutputs")
  checkBoolean(resident, "resident")
  checkKernelName(name)
  const parameters = parseSignature(signature, name)
  const label = `Kernel "${name}"`
  const owner = `kernel "${name}"`
  const cuda = cudaBody(owner, definition.cuda)
  const host = hostBody(owner, definition.host, "export")
  const exported = exportName(name, definition.host) ?? name
  if (cuda === undefined && host === undefined) throw withoutCode(label)
  const module = new ModuleState({ name, label, cuda, host, globals: [] })
  const source = { name, parameters, module: module.source, symbol: name, export: exported, partialOutputs }
  return new Kernel(source, signature, module, resident)
}
