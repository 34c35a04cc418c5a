import assert from "node:assert/strict"
import { after, describe, test } from "node:test"
import {
  executeInParallel,
  maybeExecuteInParallel,
  measuredOverlap,
  type OverlapOptions,
  parallel,
} from "../../src/index.js"
import { refused } from "../support/errors.js"
import { TimedDevice } from "./timed-device.js"

describe("§14: bad options of a policy are refused before anything is queued", () => {
  const timed = new TimedDevice()
  after(() => timed[Symbol.dispose]())
  const policy = measuredOverlap({ name: "test" })
  const never = () => assert.fail("a function was called")

  /** Every function that takes a policy, also where it does not ask it. */
  function each(options: unknown, check: (call: () => unknown) => void): void {
    const { device, event0, event1, aux } = timed
    const given = options as OverlapOptions
    check(() => maybeExecuteInParallel(never, never, event0, event1, aux, given))
    check(() => maybeExecuteInParallel(never, never, null, null, null, given))
    check(() => executeInParallel(never, [never], event0, [event1], [aux], given))
    check(() => executeInParallel(never, [never], null, [], [], given))
    check(() => device.defaultStream.run(() => parallel([never, never], given)))
    assert.equal(timed.records, 0)
    assert.deepEqual(timed.take(), [])
  }

  test("a key that is missing, or neither a string nor a finite number", () => {
    for (const key of [undefined, null, NaN, Infinity, -Infinity, 1n, {}, [1], true, Symbol("k")]) {
      each({ overlap: policy, key }, (call) =>
        refused(call, "AUX_INVALID_ARGUMENT", "`key` must be a string or a finite number if there is a policy; got "),
      )
    }
    assert.deepEqual(policy.decisions, [])
  })

  test("something that is no policy, such as one that was sent to another Worker", () => {
    for (const overlap of [null, "test", {}, structuredClone({ name: policy.name }), measuredOverlap]) {
      each({ overlap, key: 1 }, (call) =>
        refused(
          call,
          "AUX_INVALID_ARGUMENT",
          "`overlap` must be a policy or undefined; got ",
          "in the thread that uses it",
        ),
      )
    }
  })

  test("a misspelled option", () => {
    each({ overlap: policy, keys: 1, key: 1 }, (call) => refused(call, "AUX_INVALID_ARGUMENT", "got 'keys'"))
  })

  test("options that are no object", () => {
    for (const options of [null, 5, "key"]) {
      refused(
        () => maybeExecuteInParallel(never, never, null, null, null, options as unknown as OverlapOptions),
        "AUX_INVALID_ARGUMENT",
        "`options` must be an object or undefined",
      )
    }
  })

  test("a key without a policy is allowed: the policy may be a setting", () => {
    const { event0, event1, aux } = timed
    assert.deepEqual(
      maybeExecuteInParallel(
        () => 1,
        () => 2,
        event0,
        event1,
        aux,
        { overlap: undefined, key: 1 },
      ),
      [1, 2],
    )
    assert.equal(timed.messages.splice(0)[0]?.policy, undefined)
  })

  test("-0 is the key 0, and the empty string is a key", () => {
    timed.call(policy, -0)
    timed.call(policy, 0)
    timed.call(policy, "")
    assert.deepEqual(
      policy.decisions.map(({ key }) => key),
      [0, ""],
    )
    assert.ok(Object.is(policy.decisions[0]?.key, 0))
  })

  test("of measuredOverlap itself: no name, an empty one, other options; of report(): no function", () => {
    for (const options of [undefined, null, {}, { name: "" }, { name: 5 }, { name: "a", folder: "b" }]) {
      refused(() => measuredOverlap(options as { name: string }), "AUX_INVALID_ARGUMENT")
    }
    refused(
      () => policy.report(5 as unknown as () => void),
      "AUX_INVALID_ARGUMENT",
      "`write` must be a function; got 5",
    )
  })
})
