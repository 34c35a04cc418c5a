/** Writes the graphs that the program captures to a file, if the environment asks for it. */
import { appendFileSync } from "node:fs"
import { extname, resolve } from "node:path"
import process from "node:process"
import { subscribe } from "node:diagnostics_channel"
import { mustBe } from "../common/check.js"
import { showThrown } from "../common/show.js"
import { warnOnce } from "../common/warn.js"
import { Graph } from "../runtime/graph/graph.js"
import { beforeFirstOpen } from "../runtime/registry.js"

beforeFirstOpen(() => {
  const given = process.env["AUXSTREAM_GRAPHS"]
  if (given === undefined || given === "") return
  if (extname(given) !== ".dot") throw mustBe("AUXSTREAM_GRAPHS", "a file that ends in .dot", given)
  const path = resolve(given)
  subscribe("auxstream:graph", (message) => {
    if (typeof message !== "object" || message === null || !("graph" in message)) return
    if (message.graph instanceof Graph) write(path, message.graph.toDot())
  })
})

/** Never throws: the program must not end because of this. */
function write(path: string, dot: string): void {
  try {
    appendFileSync(path, dot.endsWith("\n") ? dot : `${dot}\n`)
  } catch (error) {
    warnOnce("graph file", `Graphs could not be written to ${path}: ${showThrown(error)}`, "AUX_TRACE")
  }
}
