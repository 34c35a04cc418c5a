/** Draws DOT as SVG, with Graphviz or with its port to WebAssembly, whichever is installed. */
import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { UsageError } from "./command.js"

/** The part of the package @viz-js/viz that is used. */
interface Viz {
  instance(): Promise<{ renderString(dot: string, options: { readonly format: "svg" }): string }>
}

/** @throws UsageError if neither is installed */
export async function toSvg(dot: string): Promise<string> {
  const { stdout, status } = spawnSync("dot", ["-Tsvg"], { input: dot, encoding: "utf8" })
  if (status === 0) return stdout
  const viz = await findViz()
  if (viz !== undefined) return (await viz.instance()).renderString(dot, { format: "svg" })
  throw new UsageError("An SVG needs Graphviz, or `npm install @viz-js/viz`; --out FILE.dot needs neither.")
}

/** The package as the program's folder sees it. */
async function findViz(): Promise<Viz | undefined> {
  try {
    const path = createRequire(join(process.cwd(), "package.json")).resolve("@viz-js/viz")
    return (await import(pathToFileURL(path).href)) as Viz
  } catch {
    return undefined
  }
}
