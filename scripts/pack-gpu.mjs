/**
 * Packs everything that a bare Linux x64 machine with a GPU needs to run this project's tests and benchmarks into .gpu/:
 * Node.js, the imported npm packages, the built files, and `run.sh`, which unpacks and runs them there. See
 * docs/gpu-run.md.
 *
 *   --out DIR       another folder than .gpu/
 *   --as-built      packs dist/ and build/ as they are, without checking whether they are up to date
 *   --without-node  leaves Node.js out, for machines that have it
 */

import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { at, say } from "./lib/project.mjs"
import { setUp } from "./lib/setup.mjs"
import { archive, hashOf, sizeOf } from "./gpu/archive.mjs"
import { stageNode, stagePackages, stageProject } from "./gpu/stages.mjs"

/** The size of one transfer is often limited. The repository is part of it. */
const mostBytes = 48 * 1024 * 1024

const { values } = parseArgs({
  options: {
    out: { type: "string", default: at(".gpu") },
    "as-built": { type: "boolean", default: false },
    "without-node": { type: "boolean", default: false },
  },
})
if (!values["as-built"]) setUp()

const out = resolve(values.out)
rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })

say("Packing the build")
const archives = [archive(out, "project", stageProject), archive(out, "packages", stagePackages)]
if (!values["without-node"]) {
  // The slow one is kept, because it only changes with the version of Node.js.
  const kept = stageNode()
  const path = join(out, "node.tar.xz")
  copyFileSync(kept, path)
  archives.push(path)
}

const total = archives.reduce((sum, path) => sum + sizeOf(path), 0)
if (total > mostBytes) throw new Error(`${total} bytes are packed, more than the ${mostBytes} that are allowed`)
const template = readFileSync(at("scripts/gpu/run.sh"), "utf8")
writeFileSync(join(out, "run.sh"), template.replace("@HASH@", hashOf(archives)), { mode: 0o755 })
console.log(`${out}: ${(total / 1e6).toFixed(1)} MB`)
