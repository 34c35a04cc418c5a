/**
 * Joins the compiled files in dist/ into few: one for each entry point, one for the worker threads, and what they share.
 * As the hundred small files of the sources, the package takes four times as long to import.
 */

import { rmSync } from "node:fs"
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
  // Errors and messages name classes.
  keepNames: true,
  metafile: true,
  logLevel: "warning",
})

for (const path of filesBelow("dist")) {
  if (path.endsWith(".js") && !(path in metafile.outputs)) rmSync(at(path))
}
