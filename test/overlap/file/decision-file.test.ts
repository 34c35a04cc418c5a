import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  lstatSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, describe, test } from "node:test"
import { fileURLToPath, pathToFileURL } from "node:url"
import { measuredOverlap, startTrace } from "../../../src/index.js"
import { parseContents } from "../../../src/overlap/file/contents.js"
import { refused } from "../../support/errors.js"
import { TimedDevice } from "../timed-device.js"

const folder = mkdtempSync(join(tmpdir(), "auxstream-overlap-"))
after(() => rmSync(folder, { recursive: true, force: true }))
let files = 0
const fresh = () => join(folder, `decisions-${++files}.json`)
const program = fileURLToPath(new URL("saves.program.js", import.meta.url))

/** Runs the program with these arguments. */
async function run(...args: string[]): Promise<void> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "inherit", "inherit"] })
  assert.deepEqual(await once(child, "exit"), [0, null])
}

/** The keys of a file with their modes. */
function keysIn(path: string, policy = "test"): unknown[] {
  const sections = parseContents(readFileSync(path, "utf8")).get(policy)
  return [...(sections?.values() ?? [])].flatMap(({ decisions }) =>
    [...decisions.values()].map(({ key, mode }) => [key, mode]),
  )
}

describe("§14: a policy with a file", () => {
  test("saves its decisions, and the next one begins with them, checked rarely", async () => {
    const file = fresh()
    {
      using timed = new TimedDevice()
      timed.truth = { parallel: 300, sequential: 100 }
      const policy = measuredOverlap({ name: "test", file })
      await timed.decide(policy, 256)
      policy.save()
    }
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test", file: pathToFileURL(file) })
    timed.call(policy, 256)
    timed.call(policy, 1)
    assert.deepEqual(timed.take(), ["decided sequential", "warm-up parallel"])
    const [known] = policy.decisions
    assert.deepEqual([known?.state, known?.parallel, known?.sequential], ["early", 300, 100])
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes(".tmp") || name.includes(".lock")),
      [],
    )
  })

  test("another name, and another environment, begins anew and keeps the other decisions", async () => {
    const file = fresh()
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test", file })
    await timed.decide(policy, 1)
    policy.save()
    writeFileSync(file, readFileSync(file, "utf8").replace(/"device": "[^"]*"/, '"device": "another"'))
    for (const name of ["other", "test"]) {
      const next = measuredOverlap({ name, file })
      timed.take()
      timed.call(next, 1)
      assert.deepEqual(timed.take(), ["warm-up parallel"])
      await timed.decide(next, 1)
      next.save()
    }
    const contents = parseContents(readFileSync(file, "utf8"))
    assert.deepEqual(
      [...contents].map(([name, sections]) => [name, sections.size]),
      [
        ["test", 2],
        ["other", 1],
      ],
    )
  })

  test("a file that is broken, or none of decisions, is refused and left as it is", () => {
    for (const text of ["{", '{ "name": "my-package" }']) {
      const file = fresh()
      writeFileSync(file, text)
      refused(() => measuredOverlap({ name: "test", file }), "AUX_FILE_FAILED", file, "Delete it, or name another file")
      assert.equal(readFileSync(file, "utf8"), text)
    }
  })

  test("one that became broken meanwhile is not overwritten: save() throws, and the library only warns", async () => {
    const file = fresh()
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test", file })
    await timed.decide(policy, 1)
    writeFileSync(file, "mine")
    refused(() => policy.save(), "AUX_FILE_FAILED", "it is not JSON")
    assert.equal(readFileSync(file, "utf8"), "mine")
    assert.equal(existsSync(`${file}.lock`), false)
    rmSync(file)
    policy.save()
    assert.deepEqual(keysIn(file), [[1, "parallel"]])
  })

  test("bad names of files are refused before anything is made", () => {
    refused(
      () => measuredOverlap({ name: "test", file: join(folder, "no", "file.json") }),
      "AUX_FILE_FAILED",
      "its folder does not exist",
    )
    refused(() => measuredOverlap({ name: "test", file: folder }), "AUX_FILE_FAILED", "cannot be read")
    for (const file of [5, "", "a\0b", new URL("https://example.org/x.json"), null]) {
      refused(
        () => measuredOverlap({ name: "test", file: file as string }),
        "AUX_INVALID_ARGUMENT",
        "`file` must be a path or a file: URL",
      )
    }
    refused(() => measuredOverlap({ name: "test" }).save(), "AUX_INVALID_ARGUMENT")
  })

  test("a link is followed, not replaced", { skip: process.platform === "win32" }, async () => {
    const [target, link] = [fresh(), fresh()]
    writeFileSync(target, '{ "auxstream": "overlap decisions", "version": 1, "policies": {} }')
    symlinkSync(target, link)
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test", file: link })
    await timed.decide(policy, 1)
    policy.save()
    assert.deepEqual(keysIn(target), [[1, "parallel"]])
  })

  test(
    "a link to a file that does not exist yet is followed, too",
    { skip: process.platform === "win32" },
    async () => {
      const [target, between, link] = [fresh(), fresh(), fresh()]
      symlinkSync(target, between)
      symlinkSync(between, link)
      using timed = new TimedDevice()
      const policy = measuredOverlap({ name: "test", file: link })
      await timed.decide(policy, 1)
      policy.save()
      assert.deepEqual(keysIn(target), [[1, "parallel"]])
      assert.deepEqual(keysIn(link), [[1, "parallel"]])
      assert.ok(lstatSync(link).isSymbolicLink())
    },
  )

  test("a link that leads nowhere is refused", { skip: process.platform === "win32" }, () => {
    const [circle, lost] = [fresh(), fresh()]
    symlinkSync(circle, circle)
    symlinkSync(join(folder, "nowhere", "file"), lost)
    refused(() => measuredOverlap({ name: "test", file: circle }), "AUX_FILE_FAILED", "points to itself")
    refused(() => measuredOverlap({ name: "test", file: lost }), "AUX_FILE_FAILED", "its folder does not exist")
  })

  for (const [when, milliseconds] of [
    ["long ago", -60_000],
    ["before the clock was set back", 60_000],
  ] as const) {
    test(`a lock that a process left behind ${when} is taken over`, async () => {
      const file = fresh()
      using timed = new TimedDevice()
      const policy = measuredOverlap({ name: "test", file })
      await timed.decide(policy, 1)
      writeFileSync(`${file}.lock`, "")
      const then = new Date(Date.now() + milliseconds)
      utimesSync(`${file}.lock`, then, then)
      policy.save()
      assert.deepEqual(keysIn(file), [[1, "parallel"]])
    })
  }

  test(
    "an empty file is one without decisions, and keeps its mode",
    { skip: process.platform === "win32" },
    async () => {
      const file = fresh()
      writeFileSync(file, "")
      chmodSync(file, 0o664)
      using timed = new TimedDevice()
      const policy = measuredOverlap({ name: "test", file })
      await timed.decide(policy, 1)
      policy.save()
      assert.deepEqual(keysIn(file), [[1, "parallel"]])
      assert.equal(statSync(file).mode & 0o777, 0o664)
    },
  )

  test("decisions made under an observer, such as a trace, are not saved", async () => {
    const file = fresh()
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test", file })
    const trace = startTrace()
    await timed.decide(policy, 1)
    await trace.stop()
    await timed.decide(policy, 2)
    policy.save()
    assert.deepEqual(keysIn(file), [[2, "parallel"]])
  })

  test("the end of a process saves, also by process.exit(), with a single listener for all policies", async () => {
    for (const ending of ["return", "exit"]) {
      const file = fresh()
      await run("decide", file, ending)
      for (const policy of Array.from({ length: 20 }, (_, index) => `policy ${index}`)) {
        assert.equal(keysIn(file, policy).length, 1)
      }
    }
  })

  test("several processes that write at once lose nothing", async () => {
    const file = fresh()
    await Promise.all(["a", "b", "c"].map((name) => run("write", file, name)))
    const keys = keysIn(file).map((one) => (Array.isArray(one) ? String(one[0]) : ""))
    assert.equal(keys.length, 3 * 20)
  })

  test("a folder that is gone: save() throws", async () => {
    const gone = mkdtempSync(join(folder, "gone-"))
    using timed = new TimedDevice()
    const policy = measuredOverlap({ name: "test", file: join(gone, "decisions.json") })
    await timed.decide(policy, 1)
    rmSync(gone, { recursive: true })
    refused(() => policy.save(), "AUX_FILE_FAILED", "cannot be written", "Name a file in a folder that can be written")
  })

  test("decisions that cannot be saved later give one warning, and the file stays", async () => {
    const file = fresh()
    await run("unwritable", file)
    assert.equal(readFileSync(file, "utf8"), "mine")
  })
})
