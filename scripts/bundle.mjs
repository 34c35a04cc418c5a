/**
 * Joins the compiled files in dist/ into few: one for each entry point, what they share, and one for the worker threads.
 * As the hundred small files of the sources, the package takes four times as long to import.
 *
 * The workers' file imports nothing but Node.js: bundlers that take in the package copy it as it is, without what it
 * would import. It lies beside the code that starts the threads, as it does in the sources.
 */

import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { build } from "esbuild"
import { at, filesBelow, root } from "./lib/project.mjs"

const common = {
  absWorkingDir: root,
  outdir: "dist",
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  packages: "external",
  chunkNames: "shared-[hash]",
  metafile: true,
  logLevel: "warning",
}
const results = await Promise.all([
  build({ ...common, entryPoints: { index: "src/index.ts", "blas/index": "src/blas/index.ts" }, splitting: true }),
  build({ ...common, entryPoints: { worker: "src/host/threads/worker.ts" } }),
])
const outputs = new Set(results.flatMap(({ metafile }) => Object.keys(metafile.outputs)))

for (const path of filesBelow("dist").filter((name) => name.endsWith(".js"))) {
  if (outputs.has(path)) writeFileSync(at(path), withNames(readFileSync(at(path), "utf8")))
  else rmSync(at(path))
}

/**
 * Gives classes that name themselves their names back, which errors and `console.log` show: of those the bundler makes
 * `class _Name`. Its own `keepNames` sets the name of every function each time that it is made, which doubles what a
 * fork-join costs.
 */
function withNames(code) {
  const names = [...code.matchAll(/^var (\w+) = class _\1\b/gm)].map(([, name]) => name)
  return names.reduce((text, name) => text.replace(new RegExp(`(?<![\\w$.#])_${name}\\b`, "g"), name), code)
}
