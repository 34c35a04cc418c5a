import assert from "node:assert/strict"
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, describe, test } from "node:test"
import { Lock } from "../../../src/overlap/file/lock.js"

const folder = mkdtempSync(join(tmpdir(), "auxstream-lock-"))
after(() => rmSync(folder, { recursive: true, force: true }))
let files = 0
const fresh = () => join(folder, `${files++}.lock`)

function makeOld(path: string): void {
  utimesSync(path, new Date(0), new Date(0))
}

describe("the lock of a file of decisions", () => {
  test("has one holder at a time", () => {
    const path = fresh()
    const [first, second] = [new Lock(path), new Lock(path)]
    assert.ok(first.tryToAcquire())
    assert.equal(second.tryToAcquire(), false)
    assert.deepEqual([first.isHeld, second.isHeld], [true, false])
    first.release()
    assert.ok(second.tryToAcquire())
  })

  test("is taken over from a process that has ended", () => {
    const path = fresh()
    assert.ok(new Lock(path).tryToAcquire())
    makeOld(path)
    const next = new Lock(path)
    assert.equal(next.tryToAcquire(), false)
    assert.ok(next.tryToAcquire())
  })

  test("of another process that took it over a moment ago is left in place", () => {
    const path = fresh()
    const [left, faster, slower] = [new Lock(path), new Lock(path), new Lock(path)]
    assert.ok(left.tryToAcquire())
    makeOld(path) // Both of the others see that.
    assert.equal(faster.tryToAcquire(), false)
    assert.ok(faster.tryToAcquire())
    slower.takeAway()
    assert.ok(faster.isHeld)
    assert.equal(slower.tryToAcquire(), false)
    assert.deepEqual(
      readdirSync(folder).filter((name) => join(folder, name).startsWith(path)),
      [path.slice(folder.length + 1)],
    )
  })

  test("that was taken over from a slow process is not released by that", () => {
    const path = fresh()
    const [slow, next] = [new Lock(path), new Lock(path)]
    assert.ok(slow.tryToAcquire())
    makeOld(path)
    next.tryToAcquire()
    assert.ok(next.tryToAcquire())
    assert.equal(slow.isHeld, false)
    slow.release()
    assert.ok(next.isHeld)
  })

  test("is not held if its file is gone, or is somebody else's", () => {
    const path = fresh()
    const lock = new Lock(path)
    assert.ok(lock.tryToAcquire())
    writeFileSync(path, "mine")
    assert.equal(lock.isHeld, false)
    rmSync(path)
    assert.equal(lock.isHeld, false)
    lock.release()
    assert.equal(existsSync(path), false)
  })
})
