import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, test } from "node:test"
import { cacheFolder, distrust, readCache, writeCache } from "../../../src/cuda/toolkit/kernel-cache.js"
import { machineOf } from "../../support/machine.js"
import { withEnvironment } from "../../support/environment.js"

const key = "0".repeat(64)
const contents = new TextEncoder().encode("an image")
let folder = ""

const warnings: Error[] = []
process.on("warning", (warning) => warnings.push(warning))

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "auxstream-cache-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const kept = (): string | undefined => {
  const entry = readCache(key)
  return entry && Buffer.from(entry).toString()
}

/** Writes an entry and reads it back. @returns it, with the warning if the cache is not used */
async function used(cache: string): Promise<{ entry: string | undefined; warning: string | undefined }> {
  warnings.length = 0
  const entry = withEnvironment({ AUXSTREAM_CACHE_DIR: cache }, () => {
    writeCache(key, contents)
    return kept()
  })
  await new Promise((resolve) => setImmediate(resolve))
  return { entry, warning: warnings[0]?.message }
}

test("a folder of the user's own is used, and made if it is not there", async () => {
  assert.deepEqual(await used(join(folder, "new", "one")), { entry: "an image", warning: undefined })
})

test("an entry that was cut short, changed, made longer or renamed is no entry, and is written again", () => {
  withEnvironment({ AUXSTREAM_CACHE_DIR: folder }, () => {
    const place = join(folder, key)
    writeCache(key, contents)
    const whole = readFileSync(place)
    const damages = Array.from(whole, (_, length) => whole.subarray(0, length))
    for (const index of whole.keys())
      damages.push(Buffer.from(whole.map((byte, at) => (at === index ? byte ^ 1 : byte))))
    damages.push(Buffer.concat([whole, Buffer.of(0)]))
    for (const damaged of damages) {
      writeFileSync(place, damaged)
      assert.equal(kept(), undefined, `${damaged.length} bytes`)
    }
    writeCache(key, contents)
    assert.equal(kept(), "an image")
    const other = "1".repeat(64)
    renameSync(place, join(folder, other))
    assert.equal(readCache(other), undefined)
  })
})

test("reading an entry creates no folder", () => {
  withEnvironment({ AUXSTREAM_CACHE_DIR: join(folder, "none") }, () => assert.equal(kept(), undefined))
  assert.equal(existsSync(join(folder, "none")), false)
})

test("a relative cache folder is not used: it would differ with each current folder", async () => {
  const { entry, warning } = await used("cache")
  assert.equal(entry, undefined)
  assert.match(
    warning ?? "",
    /kernel cache folder cache is not used because it is not an absolute path.+AUXSTREAM_CACHE_DIR/,
  )
})

describe("on systems where files have owners", { skip: process.platform === "win32" }, () => {
  for (const mode of [0o777, 0o770, 0o1777]) {
    test(`a folder that others can write to is not used: ${mode.toString(8)}`, async () => {
      const open = join(folder, "open")
      mkdirSync(open)
      chmodSync(open, mode)
      const { entry, warning } = await used(open)
      assert.equal(entry, undefined)
      assert.deepEqual(readdirSync(open), [])
      assert.match(
        warning ?? "",
        /open is not used because it can be written by other users .+ only this user can write to/,
      )
    })
  }

  test("a file or a folder of another user is not trusted", () => {
    const user = process.geteuid?.() ?? 0
    assert.equal(distrust({ uid: user, mode: 0o40_755 }), undefined)
    assert.match(
      distrust({ uid: user + 1, mode: 0o40_700 }) ?? "",
      /belongs to user \d+, and this process runs as user/,
    )
  })

  test("what stands in an entry's place and is no file of this user's is no entry: a pipe, a folder, a link, an open file", () => {
    withEnvironment({ AUXSTREAM_CACHE_DIR: folder }, () => {
      const place = join(folder, key)
      const inPlace: (() => unknown)[] = [
        () => spawnSync("mkfifo", [place]),
        () => mkdirSync(place),
        () => symlinkSync("/dev/zero", place),
        () => {
          writeCache(key, contents)
          chmodSync(place, 0o666)
        },
      ]
      for (const put of inPlace) {
        put()
        assert.equal(kept(), undefined, put.toString())
        writeCache(key, contents)
        rmSync(place, { recursive: true })
      }
      writeCache(key, contents)
      assert.equal(kept(), "an image")
      assert.deepEqual(readdirSync(folder), [key], "nothing unfinished is left")
    })
  })
})

test("the folder is the system's for caches, if the places that name it are absolute", () => {
  const linux = { HOME: "/home/me" }
  assert.equal(cacheFolder(machineOf("linux", linux)), "/home/me/.cache/auxstream/kernels")
  assert.equal(cacheFolder(machineOf("linux", { ...linux, XDG_CACHE_HOME: "/var/me" })), "/var/me/auxstream/kernels")
  assert.equal(cacheFolder(machineOf("darwin", linux)), "/home/me/Library/Caches/auxstream/kernels")
  const windows = { USERPROFILE: "C:\\Users\\me" }
  assert.equal(cacheFolder(machineOf("win32", windows)), "C:\\Users\\me\\AppData\\Local\\auxstream\\kernels")
  const local = { ...windows, LOCALAPPDATA: "D:\\Local" }
  assert.equal(cacheFolder(machineOf("win32", local)), "D:\\Local\\auxstream\\kernels")
  for (const relative of ["", "cache", "./cache", "..", "~"]) {
    const environment = { ...linux, XDG_CACHE_HOME: relative }
    assert.equal(cacheFolder(machineOf("linux", environment)), "/home/me/.cache/auxstream/kernels")
    assert.equal(cacheFolder(machineOf("linux", { HOME: relative })), undefined)
    assert.equal(cacheFolder(machineOf("win32", { USERPROFILE: relative, LOCALAPPDATA: `${relative}\\x` })), undefined)
  }
})

test("a user without a home folder has no cache, unless AUXSTREAM_CACHE_DIR names one", () => {
  for (const platform of ["linux", "darwin", "win32"] as const) {
    assert.equal(cacheFolder(machineOf(platform, {})), undefined)
    assert.equal(cacheFolder(machineOf(platform, { AUXSTREAM_CACHE_DIR: "/cache" })), "/cache")
  }
})
