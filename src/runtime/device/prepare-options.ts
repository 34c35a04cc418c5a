import { checkBoolean, checkInteger, checkOptions } from "../../common/check.js"
import type { PreparedNeeds } from "../../driver/driver.js"

/** Options of {@link Device.prepare}. */
export interface PrepareOptions {
  /**
   * Whether to load the code that `runIf` and `runWhile` need. Default: true if you pass no options, otherwise false.
   */
  readonly conditionals?: boolean | undefined
  /**
   * Bytes of local memory for each thread: its stack, and arrays that do not fit into registers. Loading a kernel
   * reserves the local memory that its code declares, so you need this only for kernels that recurse and for other
   * libraries' kernels. The device reserves this many bytes for every thread that it can run at a time: with 16 KiB, an
   * H200 reserves 4 GB.
   */
  readonly localMemory?: number | undefined
  /** The number of streams that the program will have at a time, including those of the pool (at most 128). */
  readonly streams?: number | undefined
}

const MOST_STREAMS = 4096
/** CUDA's limit, in bytes per thread. */
const MOST_LOCAL_MEMORY = 512 * 1024

const prepareOptions: ReadonlySet<string> = new Set<keyof PrepareOptions>(["conditionals", "localMemory", "streams"])

/** Checks the options and applies the defaults. @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE */
export function preparedNeeds(options: PrepareOptions): PreparedNeeds {
  checkOptions(options, "options", prepareOptions)
  const { conditionals = false, localMemory = 0, streams = 0 } = options
  checkBoolean(conditionals, "conditionals")
  checkInteger(localMemory, "localMemory", 0, MOST_LOCAL_MEMORY)
  checkInteger(streams, "streams", 0, MOST_STREAMS)
  return { conditionals, localMemory, streams }
}
