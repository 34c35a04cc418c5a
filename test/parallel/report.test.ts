import assert from "node:assert/strict"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { describe, it } from "node:test"
import { executeInParallel } from "../../src/parallel/execute-in-parallel.js"
import { fork } from "../../src/parallel/fork.js"
import { maybeExecuteInParallel } from "../../src/parallel/maybe-execute-in-parallel.js"
import { withMultiStream } from "../../src/parallel/multi-stream.js"
import { parallel } from "../../src/parallel/parallel.js"
import type { ParallelMessage } from "../../src/parallel/report.js"
import { Recorded } from "../support/recorded.js"

function listen(fn: () => void): ParallelMessage[] {
  const messages: ParallelMessage[] = []
  const note = (message: unknown) => messages.push(message as ParallelMessage)
  subscribe("auxstream:parallel", note)
  try {
    fn()
  } finally {
    unsubscribe("auxstream:parallel", note)
  }
  return messages
}

const noop = () => {}

describe("§5 rule 10, visibility: each call publishes its mode and the first reason that applies", () => {
  for (const [name, call, mode, reason] of [
    [
      "maybe: without an aux stream",
      () => maybeExecuteInParallel(noop, noop, null, null),
      "sequential",
      "no-aux-stream",
    ],
    [
      "maybe: off, without an aux stream",
      () => withMultiStream(false, () => maybeExecuteInParallel(noop, noop, null, null)),
      "sequential",
      "no-aux-stream",
    ],
    [
      "maybe: off, on the current stream",
      (r: Recorded) => withMultiStream(false, () => maybeExecuteInParallel(noop, noop, r.event0, r.event1, r.main)),
      "sequential",
      "disabled",
    ],
    [
      "maybe: on the current stream",
      (r: Recorded) => maybeExecuteInParallel(noop, noop, r.event0, r.event1, r.main),
      "sequential",
      "same-stream",
    ],
    [
      "maybe: in parallel",
      (r: Recorded) => maybeExecuteInParallel(noop, noop, r.event0, r.event1, r.aux),
      "parallel",
      "parallel",
    ],
    ["execute: without streams", () => executeInParallel(noop, [noop], null, []), "sequential", "no-aux-stream"],
    [
      "execute: not enabled",
      (r: Recorded) => executeInParallel(noop, [noop], r.event0, [r.event1], [r.aux], { enable: false }),
      "sequential",
      "disabled",
    ],
    [
      "execute: on the current stream",
      (r: Recorded) => executeInParallel(noop, [noop], r.event0, [r.event1], [r.main]),
      "sequential",
      "same-stream",
    ],
    [
      "execute: in parallel",
      (r: Recorded) => executeInParallel(noop, [noop], r.event0, [r.event1], [r.aux]),
      "parallel",
      "parallel",
    ],
    [
      "fork: off",
      (r: Recorded) => withMultiStream(false, () => fork(noop, { stream: r.aux })),
      "sequential",
      "disabled",
    ],
    ["fork: on the current stream", (r: Recorded) => fork(noop, { stream: r.main }), "sequential", "same-stream"],
    ["fork: in parallel", (r: Recorded) => fork(noop, { stream: r.aux }).join(), "parallel", "parallel"],
    ["parallel: of one", () => parallel([noop]), "sequential", "no-aux-stream"],
    [
      "parallel: not enabled",
      (r: Recorded) => r.main.run(() => parallel([noop, noop], { enable: false })),
      "sequential",
      "disabled",
    ],
    ["parallel: in parallel", (r: Recorded) => r.main.run(() => parallel([noop, noop])), "parallel", "parallel"],
  ] as const) {
    it(name, () => {
      using recorded = new Recorded()
      const messages = listen(() => call(recorded))
      assert.equal(messages.length, 1)
      assert.equal(messages[0]?.mode, mode)
      assert.equal(messages[0]?.reason, reason)
    })
  }

  it("names the device and the streams, the current one first", () => {
    using recorded = new Recorded()
    const { device, main, aux, event0, event1 } = recorded
    const [message] = listen(() => maybeExecuteInParallel(noop, noop, event0, event1, aux))
    assert.equal(message?.device, device)
    assert.deepEqual(message?.streams, [main, aux])
  })
})
