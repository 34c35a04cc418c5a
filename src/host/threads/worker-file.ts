import { existsSync } from "node:fs"
import { isHostWorker } from "./messages.js"
import { wasm } from "../control/web-assembly.js"

/** The program of the worker threads: a file that lies beside this one. */
export function workerFile(): URL {
  return new URL("./worker.js", import.meta.url)
}

/** Why no worker thread can be started, in one sentence that says what to do; undefined if nothing is in the way. */
export function whyNoWorkers(): string | undefined {
  if (isHostWorker()) {
    return (
      "this is a worker thread of the host device, and one that opened the device would start threads without end: " +
      "keep kernels in a module of their own, or let the program do its work only where isMainThread is true"
    )
  }
  if (wasm?.Memory === undefined) {
    return "the host device's memory is a WebAssembly.Memory, which Node.js lacks here: start it without --jitless"
  }
  return whyForbidden() ?? whyNoFile()
}

/** Under `--permission`, Node.js starts threads only where that is allowed. */
function whyForbidden(): string | undefined {
  const { permission } = process as { readonly permission?: { has(scope: string): boolean } }
  if (permission?.has("worker") !== false) return undefined
  return "the host device runs on worker threads, which --permission forbids: start Node.js with --allow-worker"
}

function whyNoFile(): string | undefined {
  // In a bundle there is no such file beside the code, and in a CommonJS one the code does not even know where it lies.
  if (URL.canParse("./worker.js", import.meta.url) && existsSync(workerFile())) return undefined
  return (
    "the program of the host device's worker threads, worker.js, is not where auxstream's code is: " +
    'keep auxstream out of the bundle (esbuild: external: ["auxstream"]), and installed beside it'
  )
}
