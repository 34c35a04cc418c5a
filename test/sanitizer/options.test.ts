import assert from "node:assert/strict"
import { once } from "node:events"
import { describe, test } from "node:test"
import { inspect } from "node:util"
import { type DataRaceError, type Device, openDevice, startSanitizer } from "../../src/index.js"
import { refused } from "../support/errors.js"
import { raceOf, unsanitized } from "../support/races.js"

function fills(device: Device) {
  const [a, b] = [device.createStream({ name: "a" }), device.createStream({ name: "b" })]
  const x = device.zeros("int32", 8)
  return { a, b, x, onA: () => void a.run(() => x.fill(1)), onB: () => void b.run(() => x.fill(2)) }
}

describe("§13 startSanitizer", () => {
  test("refuses what it does not know", () => {
    for (const onRace of [5, "throws", {}, null]) {
      const options: object = { onRace }
      refused(() => startSanitizer(options), "AUX_INVALID_ARGUMENT", "onRace", '"throw", "warn" or a function')
    }
    // @ts-expect-error No such option.
    refused(() => startSanitizer({ onrace: "throw" }), "AUX_INVALID_ARGUMENT", "onrace")
    // @ts-expect-error Not a boolean.
    refused(() => startSanitizer({ stacks: "yes" }), "AUX_INVALID_ARGUMENT", "stacks")
  })

  test("with a function: it is called before the operation is queued, and may refuse it", unsanitized, () => {
    using device = openDevice("host")
    const { a, b, x, onA, onB } = fills(device)
    const found: DataRaceError[] = []
    const refusal = new Error("refused")
    using _ = startSanitizer({
      onRace(race) {
        found.push(race)
        if (found.length === 2) throw refusal
      },
    })
    onA()
    onB()
    assert.throws(onA, refusal)
    assert.equal(found.length, 2)
    device.synchronize()
    a.run(() => assert.deepEqual(x.readSync(), new Int32Array(8).fill(2)))
    b.dispose()
  })

  test("with warnings: each distinct race once, and the program continues", unsanitized, async () => {
    using device = openDevice("host")
    const { onA, onB, x } = fills(device)
    const warnings: (Error & { code?: string })[] = []
    const listen = (warning: Error) => warnings.push(warning)
    process.on("warning", listen)
    const sanitizer = startSanitizer({ onRace: "warn" })
    for (let count = 0; count < 5; count++) {
      onA()
      onB()
      device.synchronize()
    }
    onA()
    device.createStream({ name: "c" }).run(() => x.fill(3))
    sanitizer.stop()
    process.emitWarning("the last one", { code: "LAST" })
    while (!warnings.some(({ code }) => code === "LAST")) await once(process, "warning")
    process.off("warning", listen)
    const races = warnings.filter(({ code }) => code === "AUX_DATA_RACE")
    assert.equal(races.length, 2, "b after a, c after a")
    for (const { message } of races) assert.match(message, /How to fix it: /)
  })

  test("a report without stacks has none, and stays readable", unsanitized, () => {
    using device = openDevice("host")
    const { onA, onB } = fills(device)
    using _ = startSanitizer({ stacks: false })
    onA()
    const { current, previous, allocation, message, fix } = raceOf(onB)
    assert.deepEqual([current.stack, previous.stack, allocation], ["", "", ""])
    assert.doesNotMatch(message, /^ +at /m)
    assert.equal(fix.text, "Before the fill, call b.wait(a.record()).")
  })

  test("a report points at the program's lines: both accesses and the allocation", unsanitized, () => {
    using device = openDevice("host")
    using _ = startSanitizer()
    const { onA, onB } = fills(device)
    onA()
    const { current, previous, allocation } = raceOf(onB)
    for (const stack of [current.stack, previous.stack, allocation]) {
      assert.match(stack.split("\n")[0] ?? "", /^ {4}at .*test\/sanitizer\/options\.test\.js:\d+:\d+\)?$/)
      assert.doesNotMatch(stack, /\/src\//)
    }
  })

  test("an error prints its report only, without streams and devices", unsanitized, () => {
    using device = openDevice("host")
    const { onA, onB } = fills(device)
    using _ = startSanitizer()
    onA()
    const text = inspect(raceOf(onB), { customInspect: false })
    assert.doesNotMatch(text, /DeviceOrder|HostDriver/)
  })
})
