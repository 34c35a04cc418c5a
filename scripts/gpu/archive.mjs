/** Archives that any Linux can unpack: `.tar.xz`, made with the system's tar and xz. */

import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/**
 * Makes `<folder>/<name>.tar.xz` of the files that `stage` puts into an empty folder. Equal contents give equal bytes.
 * Returns the archive's path.
 */
export function archive(folder, name, stage) {
  return inScratch((scratch) => {
    stage(scratch)
    const path = join(folder, `${name}.tar.xz`)
    const reproducible = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]
    execute("tar", ["-C", scratch, ...reproducible, "-cf", `${path}.tar`, "."])
    execute("xz", ["-9", "--force", "--suffix=.part", `${path}.tar`])
    execute("mv", [`${path}.tar.part`, path])
    return path
  })
}

/** Calls `fn` with a scratch folder, and removes it. */
export function inScratch(fn) {
  const scratch = mkdtempSync(join(tmpdir(), "auxstream-pack-"))
  try {
    return fn(scratch)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Runs a program of the system and returns its output. Throws with its error output if it fails. */
export function execute(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8" })
  if (error) throw new Error(`Packing needs the program ${command}: ${error.message}`)
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${stderr}`)
  return stdout
}

export const sizeOf = (path) => statSync(path).size

/** A hash of the contents of files, in hexadecimal digits. */
export function hashOf(paths) {
  const hash = createHash("sha256")
  for (const path of paths) hash.update(readFileSync(path))
  return hash.digest("hex").slice(0, 16)
}
