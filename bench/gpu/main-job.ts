import { fileURLToPath } from "node:url"
import { runProgram, tail } from "./programs.js"
import type { Part } from "./run.js"

const program = fileURLToPath(new URL("../../examples/moe/main.js", import.meta.url))

/** The project's main job in its current state. */
export const mainJob: Part = {
  name: "main-job",
  least: 20,
  async run(run) {
    const seconds = Math.min(120, run.secondsLeft - 5)
    const ended = await runProgram(process.execPath, [program, "--device", "cuda", "--json"], { seconds })
    if (ended.status === undefined) throw new Error(`stopped after ${seconds.toFixed(0)} s. ${tail(ended.output)}`)
    return { exitCode: ended.status, report: parse(ended.output) ?? tail(ended.output, 30) }
  },
}

/** The line of JSON in the output. */
function parse(output: string): unknown {
  try {
    return JSON.parse(output.split("\n").find((line) => line.startsWith("{")) ?? "")
  } catch {
    return undefined
  }
}
