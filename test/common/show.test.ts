import assert from "node:assert/strict"
import { test } from "node:test"
import { fork, openDevice } from "../../src/index.js"
import { refused } from "../support/errors.js"

const throwing = {
  get constructor(): never {
    throw new Error("a getter's own error")
  },
}
const revoked = Proxy.revocable({}, {})
revoked.revoke()

/** Values whose own code throws when they are shown, or gives more text than fits a message. */
const hostile: readonly unknown[] = [
  throwing,
  revoked.proxy,
  Object.create(null),
  { [Symbol.for("nodejs.util.inspect.custom")]: () => assert.fail("of inspect") },
  Object.defineProperty(() => {}, "name", { value: Symbol("name") }),
  Object.defineProperty(new Uint8Array(1), "constructor", { value: undefined }),
  { constructor: { name: Symbol("class") } },
  { constructor: { name: "Long\n".repeat(1000) } },
]

test("§8 errors: showing a value never throws, and gives one short line", () => {
  using device = openDevice("host", { threads: 2 })
  for (const value of hostile) {
    const error = refused(() => Reflect.apply(device.empty, device, ["int32", value]) as unknown, "AUX_OUT_OF_RANGE")
    assert.match(error.message, /^`length` must be an integer/)
    assert.ok(error.message.length < 250)
    if (!ArrayBuffer.isView(value))
      refused(() => Reflect.apply(device.from, device, [value]) as unknown, "AUX_INVALID_ARGUMENT")
  }
})

test("§8 warnings: a warning about any thrown value can be printed", async () => {
  using device = openDevice("host", { threads: 2 })
  const warned = new Promise<Error>((resolve) => process.once("warning", resolve))
  const forked = device.createStream().run(() => fork(() => Promise.reject(Object.create(null))))
  await new Promise(setImmediate)
  forked.dispose()
  assert.match((await warned).message, /A fork failed/)
})
