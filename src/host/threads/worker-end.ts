import { closeSync, openSync, realpathSync } from "node:fs"
import { workerFile } from "./worker-file.js"

/** How a worker thread ended. */
export interface WorkerEnd {
  /** The reason that it reported itself, if it could. */
  readonly reason: string | undefined
  /** The error that ended it, according to Node.js. */
  readonly error: Error | undefined
}

const HEAP = "(keep less in the kernels, or raise --max-old-space-size)"

/** Why a worker thread ended. Continues "a worker thread …". */
export function describeEnd({ reason, error }: WorkerEnd): string {
  if (reason !== undefined) return reason
  // A thread that ends by its own code reports it, and only Node.js ends threads otherwise.
  if (error === undefined) return `was stopped by Node.js, most likely because its JavaScript heap was full ${HEAP}`
  if ("code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY") return `ran out of JavaScript heap ${HEAP}`
  return `was ended by an error (${error.message})`
}

/** Tries what starting a thread needs. @returns the error, or undefined if nothing failed */
export function whyNotStarted(): Error | undefined {
  try {
    realpathSync.native(".") // A thread asks for the current folder, which may have been removed.
    closeSync(openSync(workerFile(), "r")) // It needs more files than this one.
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
