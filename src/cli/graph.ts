import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { extname, join, resolve } from "node:path"
import { type Command, UsageError } from "./command.js"
import { runProgram } from "./program.js"
import { toSvg } from "./svg.js"

const help = `auxstream graph [--out FILE.dot|FILE.svg] program.js [arguments]
auxstream graph [--out FILE.dot|FILE.svg] -- COMMAND [arguments]

Runs a program and draws the graphs that it captured (AUXSTREAM_GRAPHS). Prints them in Graphviz's language DOT, or
writes a file. An SVG needs Graphviz or the npm package @viz-js/viz. The program's output appears on standard error.

  --out FILE  write a .dot or an .svg file instead`

/** Draws the graphs of a program. */
export const graph: Command = {
  name: "graph",
  summary: "run a program and draw the graphs that it captured",
  help,
  async run(args) {
    const { out, program } = read(args)
    const folder = mkdtempSync(join(tmpdir(), "auxstream-graphs-"))
    try {
      const path = join(folder, "graphs.dot")
      writeFileSync(path, "")
      const code = await runProgram(program, { AUXSTREAM_GRAPHS: path }, "stderr")
      if (code !== 0) return code
      return await write(readFileSync(path, "utf8"), out)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

/** The options come before the program, or before -- and a command; what follows are its own arguments. */
function read(args: readonly string[]): { readonly out: string | undefined; readonly program: readonly string[] } {
  const [first = "", second] = args
  const [option, value] = first.startsWith("--out=") ? ["--out", first.slice("--out=".length)] : [first, second]
  const out = option === "--out" ? value : undefined
  const program = args.slice(option !== "--out" ? 0 : first === "--out" ? 2 : 1)
  if (option === "--out" && (out === undefined || ![".dot", ".svg"].includes(extname(out)))) {
    throw new UsageError(`--out must name a file that ends in .dot or .svg; got ${JSON.stringify(out ?? "")}.`)
  }
  const [name = "", ...command] = program
  if (name === "--" && command.length > 0) return { out, program: command }
  if (name === "" || name.startsWith("-")) {
    throw new UsageError(`The program must be the path of a module, after the options; got ${JSON.stringify(name)}.`)
  }
  return { out, program: ["node", ...program] }
}

async function write(dot: string, out: string | undefined): Promise<number> {
  if (dot === "") {
    console.error("The program captured no graph.")
    return 1
  }
  if (out === undefined) process.stdout.write(dot)
  else writeFileSync(out, extname(out) === ".svg" ? await toSvg(dot) : dot)
  if (out !== undefined) console.error(`Graphs written to ${resolve(out)}`)
  return 0
}
