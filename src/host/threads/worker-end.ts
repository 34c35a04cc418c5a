import { closeSync, openSync, realpathSync } from "node:fs"
import { workerFile } from "./worker-file.js"

/** What is known of the end of a worker thread that served streams. */
export interface WorkerEnd {
  /** Why it left, in its own words, if it could tell. */
  readonly reason: string | undefined
  /** What Node.js says has ended it. */
  readonly error: Error | undefined
}

const HEAP = "(keep less in the kernels, or raise --max-old-space-size)"

/** Why a worker thread has ended: goes on from "a worker thread". */
export function describeEnd({ reason, error }: WorkerEnd): string {
  if (reason !== undefined) return reason
  // A thread that ends by its own code tells, and nobody else ends one.
  if (error === undefined) return `was stopped by Node.js, most likely because its JavaScript heap was full ${HEAP}`
  if ("code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY") return `ran out of JavaScript heap ${HEAP}`
  return `was ended by an error (${error.message})`
}

/** What keeps threads from being started just now, as far as it can be tried here. */
export function whyNotStarted(): Error | undefined {
  try {
    realpathSync.native(".") // A thread asks for the current folder, which may have been removed.
    closeSync(openSync(workerFile(), "r")) // It needs more files than this one.
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
