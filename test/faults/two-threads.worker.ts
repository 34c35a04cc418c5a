/** Runs the program of the fault suites once, on this thread; as a Worker, whenever it is told to. */
import { parentPort } from "node:worker_threads"
import { AuxstreamError, openDevice } from "../../src/index.js"
import { showThrown } from "../../src/common/show.js"
import { collect } from "../support/collect.js"
import { allErrors, checkClear, outcome } from "./checks.js"
import { Program } from "./program.js"

/** How a run ended. */
export interface Ended {
  /** The code of the error that ended the program; undefined if its results were right. */
  readonly code: string | undefined
  /** What must never happen. */
  readonly problem: string | undefined
}

/** Opens the GPU, runs the program and disposes of everything. Never rejects. */
export async function runOnce(): Promise<Ended> {
  let code: string | undefined
  const problem = await outcome(async () => {
    let program: Program | undefined
    const thrown = await outcome(async () => {
      program = new Program(openDevice("cuda:0"))
      await program.run()
    })
    program?.dispose()
    program?.device.dispose()
    if (thrown === undefined) return
    checkClear(thrown, program?.step ?? "opening")
    const first = allErrors(thrown).find((error) => error instanceof AuxstreamError)
    code = first instanceof AuxstreamError ? first.code : undefined
  })
  // Pinned memory is freed once its buffer is unreachable.
  await collect()
  return { code, problem: problem === undefined ? undefined : showThrown(problem) }
}

parentPort?.on("message", () => {
  void runOnce().then((ended) => parentPort?.postMessage(ended))
})
