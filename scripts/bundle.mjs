/**
 * Joins the compiled files in dist/ into a few: one for each entry point, their shared code, one for the worker threads, and the
 * main job for `auxstream demo`, which imports the package as any program does.
 * Importing the package as the hundred small files of the sources would take four times as long.
 *
 * The workers' file imports only Node.js modules, because bundlers of users copy it as it is, without its imports. It lies
 * beside the code that starts the threads, as in the sources.
 */

import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
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
const entries = { index: "src/index.ts", "blas/index": "src/blas/index.ts", "cli/main": "src/cli/main.ts" }
const results = await Promise.all([
  build({ ...common, entryPoints: entries, splitting: true }),
  build({ ...common, entryPoints: { "cli/moe/main": "examples/moe/main.ts" } }),
  build({ ...common, entryPoints: { worker: "src/host/threads/worker.ts" } }),
])
mkdirSync(at("dist/cli/moe"), { recursive: true })
copyFileSync(at("examples/moe/kernels.cu"), at("dist/cli/moe/kernels.cu"))
const outputs = new Set(results.flatMap(({ metafile }) => Object.keys(metafile.outputs)))

for (const path of filesBelow("dist").filter((name) => name.endsWith(".js"))) {
  if (outputs.has(path)) writeFileSync(at(path), withNames(readFileSync(at(path), "utf8")))
  else rmSync(at(path))
}

/**
 * Restores the names of classes that refer to themselves, because errors and `console.log` show them: the bundler renames
 * such a class to `_Name`. Its own `keepNames` would set the name of every function each time one is created, which doubles
 * the cost of a fork-join.
 */
function withNames(code) {
  const names = [...code.matchAll(/^var (\w+) = class _\1\b/gm)].map(([, name]) => name)
  return names.reduce((text, name) => text.replace(new RegExp(`(?<![\\w$.#])_${name}\\b`, "g"), name), code)
}
