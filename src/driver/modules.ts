/** Modules: the code of one or several kernels, which a driver compiles once and loads once. */
import type { DType } from "../common/dtype/dtype.js"
import type { AggregateLayout, Primitive } from "../common/struct/layout.js"
import type { CudaModuleBody, HostModuleBody } from "./module-body.js"

/**
 * Code with one or several kernels. A driver compiles it and loads it once. The object is the module's identity: another
 * object with the same contents is another module.
 */
export interface ModuleSource {
  readonly name: string
  /** What errors call it: `Module "filters"`, or `Kernel "saxpy"` if it has only this kernel. */
  readonly label: string
  readonly cuda: CudaModuleBody | undefined
  readonly host: HostModuleBody | undefined
  readonly globals: readonly GlobalDeclaration[]
  /** The name expressions of its kernels. Complete, and never changed again, once a driver has been given the module. */
  readonly expressions: readonly string[]
}

/** One kernel of a module, with its signature parsed. */
export interface KernelSource {
  readonly name: string
  readonly parameters: readonly KernelParameter[]
  readonly module: ModuleSource
  /** Its symbol in the module's CUDA code; a name expression if it has `<` or `::` and the code is CUDA C++. */
  readonly symbol: string
  /** What the module's host code exports it as. */
  readonly export: string
  /** Whether it leaves elements of its `out` arguments unwritten on purpose. */
  readonly partialOutputs?: boolean | undefined
}

/**
 * A parsed parameter. `"in float32*"` is `{ dtype: "float32", access: "in" }`; a scalar has no access. What else is taken
 * by value has its layout, with pointers of 8 bytes.
 */
export type KernelParameter = Primitive | AggregateLayout

/** A global array of a module's code. */
export interface GlobalDeclaration {
  readonly name: string
  readonly dtype: DType
  /** In elements. */
  readonly length: number
  /** Whether kernels only read it, even if the code could write it. */
  readonly isConstant: boolean
}

/** A global array of a module that is loaded on one device. */
export interface LoadedGlobal {
  readonly address: number
  /** Whether kernels only read it. */
  readonly isConstant: boolean
}
