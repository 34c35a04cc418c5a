import { describe, test } from "node:test"
import { executeInParallel, fork, maybeExecuteInParallel, parallel, withMultiStream } from "../../../src/index.js"
import { refused } from "../../support/errors.js"
import {
  at,
  foreignStream,
  foreignEvent,
  goneStream,
  goneEvent,
  event,
  each,
  fn,
  type Loose,
  noFunctions,
  noObjects,
  noStreams,
  refuses,
} from "./bench.js"

describe("§8 bad input: fork and join", () => {
  const maybe: Loose = (...args) => Reflect.apply(maybeExecuteInParallel, undefined, args)
  const execute: Loose = (...args) => Reflect.apply(executeInParallel, undefined, args)
  refuses("maybeExecuteInParallel", () => [
    ...each(noFunctions, (value) => maybe(value, fn, null, null, null), "AUX_INVALID_ARGUMENT", "fn0"),
    ...each(noFunctions, (value) => maybe(fn, value, null, null, null), "AUX_INVALID_ARGUMENT", "fn1"),
    ...each(noStreams, (stream) => maybe(fn, fn, event, event, stream), "AUX_INVALID_ARGUMENT", "auxStream"),
    ...each([null, undefined, 5, {}], (value) => maybe(fn, fn, value, event, at.aux), "AUX_INVALID_ARGUMENT", "event0"),
    ...each([null, undefined, 5, {}], (value) => maybe(fn, fn, event, value, at.aux), "AUX_INVALID_ARGUMENT", "event1"),
    [() => maybe(fn, fn, event, event, goneStream), "AUX_DISPOSED", "auxStream", "gone stream"],
    [() => maybe(fn, fn, goneEvent, event, at.aux), "AUX_DISPOSED", "event0", "gone event"],
    [() => maybe(fn, fn, event, goneEvent, at.aux), "AUX_DISPOSED", "event1", "gone event"],
    [() => maybe(fn, fn, foreignEvent, event, at.aux), "AUX_DEVICE_MISMATCH", "event0", "cuda:99", "host"],
    [() => maybe(fn, fn, event, foreignEvent, at.aux), "AUX_DEVICE_MISMATCH", "event1", "cuda:99", "host"],
    [() => maybe(fn, fn, event, event, foreignStream), "AUX_DEVICE_MISMATCH", "cuda:99", "host"],
  ])
  refuses("executeInParallel", () => [
    ...each(noFunctions, (value) => execute(value, [fn], event, [event], [at.aux]), "AUX_INVALID_ARGUMENT", "fn0"),
    ...each(
      [null, undefined, 5, {}, fn],
      (value) => execute(fn, value, event, [event], [at.aux]),
      "AUX_INVALID_ARGUMENT",
      "auxFns",
    ),
    ...each(
      [5, "fn", {}],
      (value) => execute(fn, [value], event, [event], [at.aux]),
      "AUX_INVALID_ARGUMENT",
      "auxFns[0]",
    ),
    ...each(
      [null, undefined, 5, {}],
      (value) => execute(fn, [fn], value, [event], [at.aux]),
      "AUX_INVALID_ARGUMENT",
      "startEvent",
    ),
    ...each(
      [null, 5, {}],
      (value) => execute(fn, [fn], event, [value], [at.aux]),
      "AUX_INVALID_ARGUMENT",
      "doneEvents[0]",
    ),
    ...each(
      [null, ...noStreams],
      (value) => execute(fn, [fn, fn], event, [event, event], [at.aux, value]),
      "AUX_INVALID_ARGUMENT",
      "auxStreams[1]",
    ),
    ...each(
      [5, "streams", {}],
      (value) => execute(fn, [fn], event, [event], value),
      "AUX_LENGTH_MISMATCH",
      "auxStreams",
    ),
    ...each([5, null, {}], (value) => execute(fn, [fn], event, value, [at.aux]), "AUX_LENGTH_MISMATCH", "doneEvents"),
    [() => execute(fn, [fn], event, [], [at.aux]), "AUX_LENGTH_MISMATCH", "doneEvents", "0", "1"],
    [() => execute(fn, [fn], event, [event], [at.aux, at.aux]), "AUX_LENGTH_MISMATCH", "auxStreams", "2", "1"],
    ...each(
      noObjects,
      (options) => execute(fn, [fn], event, [event], [at.aux], options),
      "AUX_INVALID_ARGUMENT",
      "options",
    ),
    ...each(
      [1, "no", null],
      (enable) => execute(fn, [fn], event, [event], [at.aux], { enable }),
      "AUX_INVALID_ARGUMENT",
      "enable",
    ),
    [() => execute(fn, [fn], event, [event], [goneStream]), "AUX_DISPOSED", "auxStreams[0]", "gone stream"],
    [() => execute(fn, [fn], goneEvent, [event], [at.aux]), "AUX_DISPOSED", "startEvent", "gone event"],
    [
      () => execute(fn, [fn], event, [foreignEvent], [at.aux]),
      "AUX_DEVICE_MISMATCH",
      "doneEvents[0]",
      "cuda:99",
      "host",
    ],
    [
      () => execute(fn, [fn, fn], event, [event, event], [at.aux, foreignStream]),
      "AUX_DEVICE_MISMATCH",
      "auxStreams[1]",
      "cuda:99",
      "host",
    ],
  ])
  refuses("parallel", () => [
    ...each(
      [undefined, null, 5, fn, {}],
      (fns) => Reflect.apply(parallel, undefined, [fns]),
      "AUX_INVALID_ARGUMENT",
      "fns",
    ),
    ...each(
      noFunctions,
      (value) => Reflect.apply(parallel, undefined, [[fn, value]]),
      "AUX_INVALID_ARGUMENT",
      "fns[1]",
    ),
    ...each(
      noObjects,
      (options) => Reflect.apply(parallel, undefined, [[fn, fn], options]),
      "AUX_INVALID_ARGUMENT",
      "options",
    ),
    ...each(
      [1, "no", null],
      (enable) => Reflect.apply(parallel, undefined, [[fn, fn], { enable }]),
      "AUX_INVALID_ARGUMENT",
      "enable",
    ),
  ])
  refuses("fork", () => [
    ...each(noFunctions, (value) => Reflect.apply(fork, undefined, [value]), "AUX_INVALID_ARGUMENT", "fn"),
    ...each(noObjects, (options) => Reflect.apply(fork, undefined, [fn, options]), "AUX_INVALID_ARGUMENT", "options"),
    ...each(
      [null, ...noStreams],
      (stream) => Reflect.apply(fork, undefined, [fn, { stream }]),
      "AUX_INVALID_ARGUMENT",
      "stream",
    ),
    [() => fork(fn, { stream: goneStream }), "AUX_DISPOSED", "gone stream"],
  ])
  refuses("withMultiStream", () => [
    ...each(
      [undefined, null, 1, "yes"],
      (enabled) => Reflect.apply(withMultiStream, undefined, [enabled, fn]),
      "AUX_INVALID_ARGUMENT",
      "enabled",
    ),
    ...each(
      noFunctions,
      (value) => Reflect.apply(withMultiStream, undefined, [true, value]),
      "AUX_INVALID_ARGUMENT",
      "fn",
    ),
  ])
  test("fork: join after dispose", () => {
    const forked = at.main.run(() => fork(() => 42))
    at.main.run(() => forked.dispose())
    refused(() => forked.join(), "AUX_DISPOSED", "fork")
  })
})
