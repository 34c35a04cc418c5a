import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { at } from "../lib/project.mjs"
import { hashOf } from "./archive.mjs"

/**
 * Cuts an archive into parts of at most so many bytes: folders `part-0`, `part-1`, …, each of which can be sent by itself
 * and has a `join.sh`, which puts them together again. Gives the sizes.
 */
export function cutIntoParts(archive, out, mostBytes) {
  rmSync(out, { recursive: true, force: true })
  const bytes = readFileSync(archive)
  const count = Math.ceil(bytes.length / mostBytes)
  const each = Math.ceil(bytes.length / count)
  const script = readFileSync(at("scripts/gpu/join.sh"), "utf8")
    .replace("@COUNT@", String(count))
    .replace("@HASH@", hashOf([archive]))
  return Array.from({ length: count }, (_, part) => {
    const folder = join(out, `part-${part}`)
    mkdirSync(folder, { recursive: true })
    const piece = bytes.subarray(part * each, (part + 1) * each)
    // The shell's order of the pieces is that of their names.
    writeFileSync(join(folder, `piece-${String(part).padStart(3, "0")}`), piece)
    writeFileSync(join(folder, "join.sh"), script, { mode: 0o755 })
    return piece.length
  })
}
