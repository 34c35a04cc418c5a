import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { describe, test } from "node:test"

const library = new URL("../../src/index.js", import.meta.url).href

/** A program with one race, which occurs twice. */
const racing = `
  import { openDevice } from ${JSON.stringify(library)}
  const device = openDevice("host")
  const stream = device.createStream({ name: "side" })
  const x = device.zeros("int32", 4)
  x.fill(1)
  for (let count = 0; count < 2; count++) stream.run(() => x.fill(2))
  device.dispose()
  console.log("the end")
`

function run(value: string | undefined) {
  const { AUXSTREAM_SANITIZER: _, ...environment } = process.env
  const set = value === undefined ? {} : { AUXSTREAM_SANITIZER: value }
  return spawnSync(process.execPath, ["--input-type=module", "--eval", racing], {
    encoding: "utf8",
    timeout: 120_000,
    env: { ...environment, ...set },
  })
}

describe("§13 AUXSTREAM_SANITIZER", () => {
  test("1: the program throws at its first race", () => {
    const { status, stdout, stderr } = run("1")
    assert.equal(status, 1)
    assert.doesNotMatch(stdout, /the end/)
    assert.match(
      stderr,
      /DataRaceError: Data race: a fill on stream "side" writes memory that a fill on the default stream/,
    )
    assert.match(stderr, /code: 'AUX_DATA_RACE'/)
    assert.ok(stderr.length < 5000, "Node.js prints more than the report")
  })

  test("warn: the program continues, with one warning for each distinct race", () => {
    const { status, stdout, stderr } = run("warn")
    assert.equal(status, 0, stderr)
    assert.match(stdout, /the end/)
    assert.equal(stderr.match(/\[AUX_DATA_RACE\] AuxstreamWarning: Data race/g)?.length, 1, stderr)
  })

  for (const value of [undefined, "", "0"]) {
    test(`${JSON.stringify(value)}: the program runs as ever`, () => {
      const { status, stderr } = run(value)
      assert.equal(status, 0, stderr)
      assert.equal(stderr, "")
    })
  }

  test("another value is refused when the first device is opened", () => {
    const { status, stderr } = run("yes")
    assert.equal(status, 1)
    assert.match(stderr, /`AUXSTREAM_SANITIZER` must be "0" or a list of 1, warn, .*; got 'yes'/)
  })
})
