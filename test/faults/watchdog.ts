/**
 * Ends a process that hangs, and says what hung. The timer is on a thread of its own, because the main thread may be blocked
 * in a call of the library.
 */
import { Worker } from "node:worker_threads"

/** Far longer than any one case on a slow machine. In milliseconds. */
const patience = 120_000
const labelBytes = 1024

const shared = new SharedArrayBuffer(8 + labelBytes)
/** The count of labels, and the length of the current one; 0 for none. */
const words = new Int32Array(shared, 0, 2)

const watcher = `
  const { workerData } = require("node:worker_threads")
  const { writeSync } = require("node:fs")
  const words = new Int32Array(workerData.shared, 0, 2)
  for (;;) {
    const count = Atomics.load(words, 0)
    const limit = Atomics.load(words, 1) === 0 ? undefined : workerData.patience
    if (Atomics.wait(words, 0, count, limit) !== "timed-out") continue
    const label = Buffer.from(new Uint8Array(workerData.shared, 8, Atomics.load(words, 1))).toString()
    writeSync(2, "HANGS: " + label + "\\n")
    process.kill(process.pid, "SIGKILL")
  }`

let started = false

/** Says what runs from now on. It must end, or reach the next label, in time. */
export function watching(label: string): void {
  if (!started) new Worker(watcher, { eval: true, execArgv: [], workerData: { shared, patience } }).unref()
  started = true
  const bytes = new TextEncoder().encode(label).subarray(0, labelBytes)
  new Uint8Array(shared, 8, labelBytes).set(bytes)
  Atomics.store(words, 1, bytes.length)
  Atomics.add(words, 0, 1)
  Atomics.notify(words, 0)
}

/** Nothing is watched until the next label. */
export function watchingNothing(): void {
  watching("")
}
