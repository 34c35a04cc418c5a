import { fileURLToPath } from "node:url"
import { runProgram, tail } from "./programs.js"
import type { Part } from "./run.js"

const program = fileURLToPath(new URL("../main.js", import.meta.url))

/** The host device's goals on this machine's cores, from `npm run bench`. */
export const host: Part = {
  name: "host",
  least: 30,
  async run(run) {
    const seconds = Math.min(120, run.secondsLeft - 5)
    const args = ["--json", "--only", "fork-join,overlap", ...(run.settings.quick ? ["--quick"] : [])]
    const ended = await runProgram(process.execPath, [program, ...args], { seconds })
    if (ended.status !== 0) throw new Error(tail(ended.output))
    return { derived: derivedIn(ended.output) }
  },
}

/** Figures by name, from the JSON in the output. */
function derivedIn(output: string): Readonly<Record<string, unknown>> {
  const report = JSON.parse(output.slice(output.indexOf("{"), output.lastIndexOf("}") + 1)) as {
    readonly derived: readonly { readonly benchmark: string; readonly name: string; readonly value: number }[]
  }
  return Object.fromEntries(report.derived.map(({ benchmark, name, value }) => [`${benchmark}: ${name}`, value]))
}
