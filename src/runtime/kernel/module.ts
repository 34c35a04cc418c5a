import { basename } from "node:path"
import { checkBoolean, mustBe } from "../../common/check.js"
import { AuxstreamError } from "../../common/errors.js"
import type { CudaModuleBody, HostModuleBody } from "../../driver/module-body.js"
import { Device } from "../device/device.js"
import type { DeviceArray } from "../device/array/device-array.js"
import { parseGlobals } from "./global-declarations.js"
import { Kernel } from "./kernel.js"
import {
  checkDefinition,
  checkKernelName,
  cudaBody,
  exportedNames,
  hostBody,
  kernelNames,
  nameIn,
  withoutCode,
} from "./kernel-body.js"
import { ModuleState } from "./module-state.js"
import type { Globals, HostKernel, Labelled, Parameter } from "./parameter-types.js"
import { parseSignature } from "./signature.js"

/** The exports of a module's host code: their names, or the module itself, imported with `import * as`. */
export type HostExports = readonly string[] | { readonly [name: string]: unknown }

/** The names of the exports of a module's host code. */
export type ExportName<X extends HostExports> = X extends readonly (infer N extends string)[]
  ? N
  : Extract<keyof X, string>

/** The definition of a module, for {@link defineModule}. */
export interface ModuleDefinition<G extends Globals = Globals, X extends HostExports = readonly string[]> {
  /** The module's name in errors. Default: the name of its file. */
  readonly name?: string | undefined
  /** The code for CUDA: CUDA C++ in a file or as text, PTX, a cubin, or a fatbin. */
  readonly cuda?: CudaModuleBody | undefined
  /**
   * The code for the host device: a JavaScript module's text or URL, or a WebAssembly module. With `exports`, TypeScript
   * checks that the exports of the kernels exist and, if `exports` is the module itself, that they fit the signatures.
   */
  readonly host?:
    | (HostModuleBody & {
        /** The names of the exports, or the module itself, imported with `import * as`. */
        readonly exports?: X | undefined
      })
    | undefined
  /** The global arrays of the code, by their names in C++, such as `{ table: ["float32", 4] }`. */
  readonly globals?: G | undefined
}

/** The definition of a kernel of a module, for {@link KernelModule.kernel}. */
export type ModuleKernelDefinition<S extends readonly Parameter[], E extends string> = {
  /** The parameters in order, such as `["int32", "float32", "in float32*", "inout float32*"]`. */
  readonly signature: S
  /** The symbol in the CUDA code. Default: the kernel's name. */
  readonly cuda?:
    | {
        /** A C++ name, an `extern "C"` name, or a name expression such as `"scale<float, 4>"`. */
        readonly symbol?: string | undefined
      }
    | undefined
  /**
   * Whether the kernel leaves elements of its `out` arguments unwritten on purpose. Then the sanitizer's check `unwritten`
   * leaves them alone. Default: false.
   */
  readonly partialOutputs?: boolean | undefined
  /** Whether the kernel needs the whole device: see {@link KernelDefinition.resident}. Default: false. */
  readonly resident?: boolean | undefined
} & (
  | {
      /** The kernel's name in errors, graphs and traces. It is also the default of `symbol` and `export`. */
      readonly name: string
      /** The name of the export in the host code. */
      readonly host: {
        /** One of the exports. */
        readonly export: E
      }
    }
  | {
      /** The kernel's name in errors, graphs and traces. It is also the name of the export, and the default of `symbol`. */
      readonly name: E
      /** Not needed: the kernel's name is the name of the export. */
      readonly host?:
        | {
            /** Omit it. */
            readonly export?: undefined
          }
        | undefined
    }
)

/** `unknown` if the export fits the signature; otherwise a type that shows the reason in the error. */
type Fits<
  X extends HostExports,
  E extends string,
  S extends readonly Parameter[],
  G extends Globals,
> = X extends readonly string[]
  ? unknown
  : E extends keyof X
    ? X[E] extends HostKernel<S, G>
      ? unknown
      : { readonly host: { readonly export: ["this export is not a kernel with this signature", X[E]] } }
    : never

/** The globals of a module that declares none. `global()` then accepts no name. */
type NoGlobals = { readonly [noGlobals]?: undefined }
declare const noGlobals: unique symbol

/**
 * Code with one or more kernels. Each device compiles and loads it once. Made by {@link defineModule}. CUDA: `CUlibrary`.
 * CuPy: `RawModule`.
 */
export class KernelModule<G extends Globals = Globals, X extends HostExports = readonly string[]> {
  /** Its name in errors. */
  readonly name: string
  readonly #state: ModuleState
  readonly #exports: readonly string[] | undefined
  readonly #kernels: Kernel[] = []

  /** @internal */
  constructor(state: ModuleState, exports: readonly string[] | undefined) {
    this.name = state.source.name
    this.#state = state
    this.#exports = exports
  }

  /**
   * Declares a kernel of the module. This compiles and loads nothing yet.
   *
   * The library looks for exactly this CUDA symbol, then for a C++ function with this unmangled name, if there is only
   * one. A symbol with `<` or `::` is a name expression such as `"scale<float, 4>"`. The compiler instantiates it, so
   * you must declare the kernel before the module is first compiled.
   *
   * @param definition its name and signature, and its names in the code if they differ
   * @throws AuxstreamError AUX_INVALID_ARGUMENT; AUX_KERNEL_INVALID for a name expression if the module has been compiled
   * @example
   * const scale = filters.kernel({
   *   name: "scale",
   *   signature: ["int32", "inout float32*"],
   *   cuda: { symbol: "scale<float, 4>" },
   * })
   */
  kernel<const S extends readonly Parameter[], const E extends ExportName<X>>(
    definition: ModuleKernelDefinition<S, E> & Fits<X, E, S, G>,
  ): Kernel<Labelled<S>>
  kernel(definition: ModuleKernelDefinition<readonly Parameter[], string>): Kernel {
    this.#state.checkUsable()
    checkDefinition(definition, "{ name, signature, cuda, host }", kernelNames)
    const { name, signature, cuda, host, partialOutputs = false, resident = false } = definition
    checkBoolean(partialOutputs, "partialOutputs")
    checkBoolean(resident, "resident")
    checkKernelName(name)
    const parameters = parseSignature(signature, name)
    const { source } = this.#state
    const symbol = nameIn(name, "cuda", cuda) ?? name
    const exported = nameIn(name, "host", host) ?? name
    if (source.host !== undefined && this.#exports?.includes(exported) === false) {
      throw mustBe(`The export of kernel "${name}"`, `one of ${this.#exports.join(", ")}`, exported)
    }
    const declared = { name, parameters, module: source, symbol, export: exported, partialOutputs }
    const kernel = new Kernel(declared, signature, this.#state, resident)
    this.#kernels.push(kernel)
    return kernel
  }

  /**
   * A global array of the module's code on one device. Every call returns the same memory, which belongs to the module: it
   * ends with the module, and disposing of the array frees nothing. Loads the module if necessary. CUDA:
   * `cuLibraryGetGlobal`.
   *
   * The library assumes that every launch of the module's kernels reads all globals, and writes those that are not
   * constant, unless the launch's `uses` names them. So order a copy into a global like a copy into an argument.
   *
   * @param device the device that holds the array
   * @param name one of the names in `globals`
   * @throws AuxstreamError AUX_KERNEL_INVALID if the code does not have the global, or has it with another size;
   * AUX_INVALID_ARGUMENT if it was not declared; AUX_KERNEL_UNAVAILABLE, AUX_DISPOSED
   * @example
   * filters.global(device, "table").copyFrom(new Float32Array([1, 2, 3, 4]))
   */
  global<N extends Extract<keyof G, string>>(device: Device, name: N): DeviceArray<G[N][0]>
  global(device: Device, name: string): DeviceArray {
    this.#checkDevice(device)
    const { globals } = this.#state.source
    const index = globals.findIndex((global) => global.name === name)
    if (index < 0) {
      const names = globals.map((global) => JSON.stringify(global.name)).join(", ")
      throw mustBe(
        `The global of module "${this.name}"`,
        names === "" ? "declared in `globals`" : `one of ${names}`,
        name,
      )
    }
    const array = this.#state.on(device).arrays[index]
    if (array === undefined) throw new RangeError(`there is no global ${index}`)
    return array.subarray(0)
  }

  /**
   * Compiles and loads the module and all kernels declared so far, without blocking the event loop.
   *
   * @param device the device on which the kernels will run
   * @throws (as a rejection) AuxstreamError AUX_KERNEL_INVALID with the compiler's log, AUX_KERNEL_UNAVAILABLE if the
   * definition has no code for the device, AUX_INVALID_ARGUMENT, AUX_DISPOSED
   */
  async prepare(device: Device): Promise<void> {
    this.#checkDevice(device)
    await Promise.all([this.#state.prepare(device), ...this.#kernels.map((kernel) => kernel.prepare(device))])
  }

  #checkDevice(device: unknown): asserts device is Device {
    if (!(device instanceof Device)) throw mustBe("device", "a Device", device)
    device.checkUsable()
    this.#state.checkUsable()
    if (this.#state.source[device.kind] !== undefined) return
    throw new AuxstreamError(
      "AUX_KERNEL_UNAVAILABLE",
      `Module "${this.name}" has no code for ${device.id}. Give its definition a \`${device.kind}\` body.`,
    )
  }

  /** Whether the module has been disposed of. */
  get disposed(): boolean {
    return this.#state.disposed
  }

  /**
   * Unloads the module from all devices; does not wait. Queued launches still run, and graphs keep the kernels that
   * they launch. Later launches of its kernels throw `DisposedError`.
   */
  dispose(): void {
    this.#state.dispose()
  }

  /** Calls {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

/**
 * Defines a module: code with one or more kernels, for one or both kinds of device. Each device compiles and loads it once,
 * at its first use there or with `prepare`.
 *
 * @param definition the code for each kind of device, and its globals
 * @throws AuxstreamError AUX_INVALID_ARGUMENT
 * @example
 * const filters = defineModule({
 *   cuda: { file: new URL("filters.cu", import.meta.url) },
 *   host: { module: new URL("filters.js", import.meta.url) },
 *   globals: { table: ["float32", 4, "constant"] },
 * })
 * const blur = filters.kernel({ name: "blur", signature: ["int32", "in float32*", "out float32*"] })
 */
export function defineModule<const G extends Globals = NoGlobals, const X extends HostExports = readonly string[]>(
  definition: ModuleDefinition<G, X>,
): KernelModule<G, X> {
  checkDefinition(definition, "{ name, cuda, host, globals }", ["name", "cuda", "host", "globals"])
  const name = nameOf(definition)
  const label = `Module "${name}"`
  const owner = `module "${name}"`
  const cuda = cudaBody(owner, definition.cuda)
  const host = hostBody(owner, definition.host, "exports")
  if (cuda === undefined && host === undefined) throw withoutCode(label)
  const globals = parseGlobals(definition.globals, owner)
  const state = new ModuleState({ name, label, cuda, host, globals })
  return new KernelModule(state, exportedNames(definition.host?.exports, owner))
}

function nameOf({ name, cuda }: ModuleDefinition<Globals, HostExports>): string {
  if (name === undefined) {
    const file = typeof cuda === "object" && cuda !== null && "file" in cuda ? String(cuda.file) : ""
    return basename(file).replace(/\.\w+$/, "") || "module"
  }
  if (typeof name === "string" && /^[^\0"\\/\p{Surrogate}]+$/u.test(name)) return name
  throw mustBe("name", "a name without quotes, slashes and NUL", name)
}
