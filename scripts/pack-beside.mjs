/**
 * Packs node-llama-cpp with its CUDA library into .gpu-beside/, for the tests that run it beside this library on a GPU, in
 * parts that can be sent separately. See docs/gpu-run.md.
 *
 *   --out DIR   another folder than .gpu-beside/
 */

import { resolve } from "node:path"
import { parseArgs } from "node:util"
import { archiveNodeLlamaCpp } from "./gpu/node-llama-cpp.mjs"
import { cutIntoParts } from "./gpu/parts.mjs"
import { at, say } from "./lib/project.mjs"

/** The size of one transfer is often limited. The repository is part of it. */
const mostBytes = 45 * 1024 * 1024

const { values } = parseArgs({ options: { out: { type: "string", default: at(".gpu-beside") } } })
const out = resolve(values.out)

say("Packing node-llama-cpp, which takes a few minutes the first time")
const sizes = cutIntoParts(archiveNodeLlamaCpp(), out, mostBytes)
for (const [part, bytes] of sizes.entries()) console.log(`${out}/part-${part}: ${(bytes / 1e6).toFixed(1)} MB`)
