/**
 * The console of worker threads. Node.js passes a worker's output through the event loops of two threads. An idle worker
 * sleeps outside its event loop, and the process may end before the other event loop runs. So this console writes to the
 * process's output itself, at the call.
 */
import { Console } from "node:console"
import { writeSync } from "node:fs"
import { Writable } from "node:stream"

const STDOUT = 1
const STDERR = 2
/** Milliseconds between attempts to write to a pipe that is full. */
const PAUSE = 1

/** Replaces the console of this thread. */
export function useDirectConsole(): void {
  globalThis.console = new Console({ stdout: directTo(STDOUT), stderr: directTo(STDERR) })
}

function directTo(descriptor: number): Writable {
  return new Writable({
    write(chunk: Uint8Array, _encoding, done) {
      writeAll(descriptor, chunk)
      done()
    },
  })
}

/** Never throws: whether anybody reads the output must not decide whether a kernel succeeds. */
function writeAll(descriptor: number, bytes: Uint8Array): void {
  let written = 0
  while (written < bytes.length) {
    try {
      written += writeSync(descriptor, bytes, written)
    } catch (error) {
      if (!isFull(error)) return
      Atomics.wait(pause, 0, 0, PAUSE)
    }
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4))

function isFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EAGAIN"
}
