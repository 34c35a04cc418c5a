import { existsSync } from "node:fs"
import { isHostWorker } from "./messages.js"
import { wasm } from "../control/web-assembly.js"

/** The program of the worker threads: a file beside this one. */
export function workerFile(): URL {
  return new URL("./worker.js", import.meta.url)
}

/** Why no worker thread can be started, and what to do; undefined if one can. */
export function whyNoWorkers(): string | undefined {
  if (isHostWorker()) {
    return (
      "this is a worker thread of the host device, which must not open the device itself: " +
      "keep kernels in a module of their own, or let the program do its work only where isMainThread is true"
    )
  }
  if (wasm?.Memory === undefined) {
    return "the host device needs WebAssembly, which --jitless turns off: start Node.js without --jitless"
  }
  return whyForbidden() ?? whyNoFile()
}

/** Under `--permission`, Node.js starts threads only with `--allow-worker`. */
function whyForbidden(): string | undefined {
  const { permission } = process as { readonly permission?: { has(scope: string): boolean } }
  if (permission?.has("worker") !== false) return undefined
  return "the host device runs on worker threads, which --permission forbids: start Node.js with --allow-worker"
}

function whyNoFile(): string | undefined {
  // A bundle has no such file beside the code, and a CommonJS bundle does not even know its own location.
  if (URL.canParse("./worker.js", import.meta.url) && existsSync(workerFile())) return undefined
  return (
    "worker.js, the program of the host device's worker threads, is not beside auxstream's code: " +
    'keep auxstream out of the bundle (esbuild: external: ["auxstream"]), and installed beside it'
  )
}
