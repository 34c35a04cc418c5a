import { test } from "node:test"
import assert from "node:assert/strict"
import { inspect } from "node:util"
import { fork } from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine } from "../support/kernels.js"

forEachOpenDevice("JSON", (open) => {
  test("§8 JSON.stringify: throws an error that names the object, and for an array what to write instead", () => {
    using device = open()
    using x = device.zeros("int32", 3)
    using pinned = device.pinned("float32", 2)
    using forked = fork(() => 1)
    refused(() => JSON.stringify(x), "AUX_INVALID_ARGUMENT", "int32 array of 3", "await array.read()")
    refused(() => JSON.stringify({ nested: [x] }), "AUX_INVALID_ARGUMENT", "int32 array of 3", "await array.read()")
    refused(() => JSON.stringify(pinned), "AUX_INVALID_ARGUMENT", "float32 array of 2", "pinned.array")
    for (const object of [device, device.defaultStream, device.createEvent(), affine, forked]) {
      refused(() => JSON.stringify({ object }), "AUX_INVALID_ARGUMENT", inspect(object))
    }
  })

  test("§8 toJSON without a key, as test runners call it to print an object: returns what console.log shows", () => {
    using device = open()
    using x = device.zeros("int32", 3)
    const print: unknown = Reflect.get(x, "toJSON")
    assert.ok(typeof print === "function")
    assert.equal(Reflect.apply(print, x, []), inspect(x))
  })
})
