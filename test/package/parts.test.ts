import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { pathToFileURL } from "node:url"
import { node, project, temporaryFolder } from "./packing.js"

const missing = ["tar", "xz"].find((name) => spawnSync(name, ["--version"]).status !== 0)
const skip = process.platform === "win32" || missing !== undefined ? "this needs a shell, tar and xz" : false

describe("an archive in parts", { skip }, () => {
  const contents = randomBytes(2500)
  let folder = ""
  let parts = ""

  before(() => {
    folder = temporaryFolder()
    parts = join(folder, "parts")
    mkdirSync(join(folder, "packed", "inside"), { recursive: true })
    writeFileSync(join(folder, "packed", "inside", "file"), contents)
    const archive = join(folder, "archive.tar.xz")
    const packed = spawnSync("tar", ["-C", join(folder, "packed"), "-cJf", archive, "."])
    assert.equal(packed.status, 0)
    const program = `
      import { cutIntoParts } from ${JSON.stringify(pathToFileURL(join(project, "scripts/gpu/parts.mjs")).href)}
      cutIntoParts(...${JSON.stringify([archive, parts])}, 1000)`
    node(project, "--input-type=module", "--eval", program)
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  function joinPart(part: number): string {
    const options = { env: { PATH: process.env["PATH"], TMPDIR: folder }, encoding: "utf8" } as const
    const { stdout, stderr, status } = spawnSync(join(parts, `part-${part}`, "join.sh"), [], options)
    assert.equal(status, 0, stderr)
    return stdout.trim()
  }

  test("no part exceeds the given size", () => {
    const names = readdirSync(parts).sort()
    assert.deepEqual(names, ["part-0", "part-1", "part-2"])
    for (const [index, name] of names.entries()) {
      assert.ok(statSync(join(parts, name, `piece-00${index}`)).size <= 1000)
    }
  })

  test("is unpacked once, when the last part arrives, in any order", () => {
    assert.equal(joinPart(2), "")
    assert.equal(joinPart(0), "")
    assert.equal(joinPart(0), "")
    const place = joinPart(1)
    assert.deepEqual(readFileSync(join(place, "inside", "file")), contents)
    writeFileSync(join(place, "mark"), "")
    assert.equal(joinPart(1), place)
    assert.deepEqual(readdirSync(place).sort(), ["inside", "mark"])
  })
})
