/**
 * Joins the compiled files in dist/ into few: one for each entry point, one for the worker threads, and what they share.
 * As the hundred small files of the sources, the package takes four times as long to import.
 */

import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { build } from "esbuild"
import { at, filesBelow, root } from "./lib/project.mjs"

const { metafile } = await build({
  absWorkingDir: root,
  // The workers' file has to lie beside the code that starts them, as it does in the sources.
  entryPoints: { index: "src/index.ts", "blas/index": "src/blas/index.ts", worker: "src/host/worker.ts" },
  outdir: "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  packages: "external",
  chunkNames: "shared-[hash]",
  metafile: true,
  logLevel: "warning",
})

for (const path of filesBelow("dist").filter((name) => name.endsWith(".js"))) {
  if (path in metafile.outputs) writeFileSync(at(path), withNames(readFileSync(at(path), "utf8")))
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
