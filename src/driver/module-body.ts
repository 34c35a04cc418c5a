/** The code of a module, as programs write it: CUDA C++ or an image for CUDA, JavaScript or WebAssembly for the host device. */

/** A module's code for CUDA. */
export type CudaModuleBody =
  | ({
      /** CUDA C++, compiled by NVRTC at the first use on a device. */
      readonly source: string
    } & CompileOptions)
  | ({
      /** A file of CUDA C++: a path or a `file:` URL, read at the first use. */
      readonly file: URL | string
    } & CompileOptions)
  | {
      /** PTX, which the driver compiles for its GPU. */
      readonly ptx: string | Uint8Array
    }
  | {
      /** Machine code for one kind of GPU. */
      readonly cubin: Uint8Array
    }
  | {
      /** Machine code for several kinds of GPU, and PTX. */
      readonly fatbin: Uint8Array
    }

/** A module's code for the host device. */
export type HostModuleBody =
  | {
      /** The text of an ES module in JavaScript. */
      readonly source: string
    }
  | {
      /** An ES module, which each worker thread imports: a URL, or an absolute path. */
      readonly module: URL | string
    }
  | {
      /** A WebAssembly module: its bytes, or the URL of its file. It must import the device's memory, `env.memory`. */
      readonly wasm: URL | Uint8Array
    }

/** How CUDA C++ is compiled. */
export interface CompileOptions {
  /** NVRTC's options. */
  readonly options?: readonly string[] | undefined
  /** Headers as texts, by the names under which the code includes them. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Folders to search for headers: `file:` URLs or absolute paths. */
  readonly includePaths?: readonly (URL | string)[] | undefined
}
