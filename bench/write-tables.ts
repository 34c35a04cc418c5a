/** Writes every generated table and page anew from bench/results/: `npm run tables`. */

import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { upToDate } from "./tables.js"

for (const [path, content] of upToDate()) {
  if (existsSync(path) && readFileSync(path, "utf8") === content) continue
  writeFileSync(path, content)
  console.log(`wrote ${path}`)
}
