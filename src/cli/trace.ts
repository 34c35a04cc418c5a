import { spawn } from "node:child_process"
import { existsSync, rmSync } from "node:fs"
import { extname, resolve } from "node:path"
import process from "node:process"
import { type Command, parseOptions, splitProgram, UsageError } from "./command.js"
import { runProgram } from "./program.js"
import { summaryOf } from "../trace/written.js"

const forms = new Set([".html", ".pftrace", ".json"])

const EXAMPLE = "`auxstream trace out.html -- node program.js`"

const help = `auxstream trace OUT.html [--open] -- node program.js [arguments]

Runs a program, records when its operations ran, and prints a summary. You need not change the program: its own copy of
auxstream writes the trace (AUXSTREAM_TRACE). Exits with the program's exit code.

  OUT     OUT.html is a page that shows the trace, OUT.pftrace is for https://ui.perfetto.dev, OUT.json is for scripts
  --open  open the page in the browser afterwards`

/** Traces a program. */
export const trace: Command = {
  name: "trace",
  summary: "run a program and write a picture of its overlap",
  help,
  async run(args) {
    const { own, program } = splitProgram(args)
    const out = own.find((arg) => !arg.startsWith("-"))
    if (out === undefined || !forms.has(extname(out))) {
      const given = out === undefined ? "nothing" : JSON.stringify(out)
      throw new UsageError(
        `The file of the trace must end in .html, .pftrace or .json, as in ${EXAMPLE}; got ${given}.`,
      )
    }
    if (program.length === 0) {
      throw new UsageError(`The program must follow after --, as in ${EXAMPLE}.`)
    }
    const { open = false } = parseOptions(
      "trace",
      own.filter((arg) => arg !== out),
      { open: { type: "boolean" } },
    )
    return await traced(resolve(out), program, open)
  },
}

async function traced(path: string, program: readonly string[], open: boolean): Promise<number> {
  rmSync(path, { force: true })
  const code = await runProgram(program, { AUXSTREAM_TRACE: path }, "stdout")
  if (!existsSync(path)) {
    console.error(
      code === 0
        ? "The program wrote no trace: it opened no device, or its version of auxstream has no traces."
        : `The program ended with exit code ${code} before it opened a device, so there is no trace.`,
    )
    return code === 0 ? 1 : code
  }
  const summary = summaryOf(path)
  if (summary !== undefined) console.error(summary)
  console.error(`Trace written to ${path}${open || extname(path) !== ".html" ? "" : ": open it in a browser"}`)
  if (open) openFile(path)
  return code
}

/** Opens a file with the program that the system uses for it. */
function openFile(path: string): void {
  const openers: Partial<Record<NodeJS.Platform, string>> = { darwin: "open", win32: "explorer.exe" }
  const child = spawn(openers[process.platform] ?? "xdg-open", [path], { detached: true, stdio: "ignore" })
  child.once("error", () => console.error(`No program was found that opens the page. Open it yourself: ${path}`))
  child.unref()
}
