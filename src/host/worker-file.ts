import { existsSync } from "node:fs"

/** The program of the worker threads: a file that lies beside this one. */
export function workerFile(): URL {
  return new URL("./worker.js", import.meta.url)
}

/** Why no worker thread can be started, in one sentence that says what to do; undefined if nothing is in the way. */
export function whyNoWorkers(): string | undefined {
  // In a bundle there is no such file beside the code, and in a CommonJS one the code does not even know where it lies.
  if (URL.canParse("./worker.js", import.meta.url) && existsSync(workerFile())) return undefined
  return (
    "the program of the host device's worker threads, worker.js, is not where auxstream's code is: " +
    'keep auxstream out of the bundle (esbuild: external: ["auxstream"]), and installed beside it'
  )
}
