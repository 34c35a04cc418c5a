import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { at } from "../lib/project.mjs"
import { hashOf } from "./archive.mjs"

/**
 * Cuts an archive into parts of limited size: folders `part-0`, `part-1`, …, which can be sent separately. Each has a
 * `join.sh` that joins them again. Returns the sizes.
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
    // The shell sorts the pieces by name.
    writeFileSync(join(folder, `piece-${String(part).padStart(3, "0")}`), piece)
    writeFileSync(join(folder, "join.sh"), script, { mode: 0o755 })
    return piece.length
  })
}
