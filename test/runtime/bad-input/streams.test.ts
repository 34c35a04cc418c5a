import { describe } from "node:test"
import {
  at,
  x,
  gone,
  foreign,
  foreignStream,
  foreignEvent,
  goneStream,
  goneEvent,
  event,
  each,
  fn,
  loose,
  noFunctions,
  noObjects,
  noStreams,
  noSignals,
  refuses,
  rejects,
} from "./bench.js"

describe("§8 bad input: streams and events", () => {
  refuses("stream.record", () => [
    ...each([5, null, {}, at.main], loose(at.main, "record"), "AUX_INVALID_ARGUMENT", "event"),
    [() => at.main.record(foreignEvent), "AUX_DEVICE_MISMATCH", "cuda:99", "host", "foreign event"],
    [() => at.main.record(goneEvent), "AUX_DISPOSED", "gone event"],
    [() => goneStream.record(event), "AUX_DISPOSED", "gone stream"],
    [() => goneStream.record(), "AUX_DISPOSED", "gone stream"],
  ])
  refuses("stream.wait", () => [
    ...each([undefined, ...noStreams], loose(at.main, "wait"), "AUX_INVALID_ARGUMENT", "target"),
    [() => at.main.wait(foreignStream), "AUX_DEVICE_MISMATCH", "foreign stream", "cuda:99", "host"],
    [() => at.main.wait(foreignEvent), "AUX_DEVICE_MISMATCH", "foreign event", "cuda:99", "host"],
    [() => at.main.wait(goneStream), "AUX_DISPOSED", "gone stream"],
    [() => at.main.wait(goneEvent), "AUX_DISPOSED", "gone event"],
    [() => goneStream.wait(at.main), "AUX_DISPOSED", "gone stream"],
    [() => goneStream.wait(event), "AUX_DISPOSED", "gone stream"],
    [() => goneStream.wait(goneStream), "AUX_DISPOSED", "gone stream"],
  ])
  refuses("stream.run", () => [
    ...each(noFunctions, loose(at.main, "run"), "AUX_INVALID_ARGUMENT", "fn"),
    [() => goneStream.run(fn), "AUX_DISPOSED", "gone stream"],
  ])
  refuses("stream.external", () => [
    ...each(noObjects, (uses) => loose(at.main, "external")(uses, fn), "AUX_INVALID_ARGUMENT", "uses"),
    ...each(noFunctions, (value) => loose(at.main, "external")({}, value), "AUX_INVALID_ARGUMENT", "fn"),
    ...each([5, null, "x", {}], (reads) => loose(at.main, "external")({ reads }, fn), "AUX_INVALID_ARGUMENT", "reads"),
    ...each(
      [5, null, {}, new Int32Array(2)],
      (array) => loose(at.main, "external")({ writes: [x, array] }, fn),
      "AUX_INVALID_ARGUMENT",
    ),
    [() => at.main.external({ reads: [gone] }, fn), "AUX_DISPOSED", "4 elements"],
    [() => at.main.external({ writes: [foreign] }, fn), "AUX_DEVICE_MISMATCH", "cuda:99", "host"],
    [() => goneStream.external({}, fn), "AUX_DISPOSED", "gone stream"],
  ])
  refuses("a disposed stream", () => [
    [() => goneStream.query(), "AUX_DISPOSED", "gone stream"],
    [() => goneStream.synchronize(), "AUX_DISPOSED", "gone stream"],
    [() => goneStream.handle, "AUX_DISPOSED", "gone stream"],
  ])
  rejects("stream.completed", () => [
    ...each(noObjects, loose(at.main, "completed"), "AUX_INVALID_ARGUMENT", "options"),
    ...each(noSignals, (signal) => loose(at.main, "completed")({ signal }), "AUX_INVALID_ARGUMENT", "signal"),
    [() => goneStream.completed(), "AUX_DISPOSED", "gone stream"],
  ])
  refuses("event.record, event.wait", () => [
    ...each([null, ...noStreams], loose(event, "record"), "AUX_INVALID_ARGUMENT", "stream"),
    ...each([null, ...noStreams], loose(event, "wait"), "AUX_INVALID_ARGUMENT", "stream"),
    [() => event.record(foreignStream), "AUX_DEVICE_MISMATCH", "foreign stream", "an event", "cuda:99", "host"],
    [() => event.wait(foreignStream), "AUX_DEVICE_MISMATCH", "foreign stream", "an event", "cuda:99", "host"],
    [() => event.record(goneStream), "AUX_DISPOSED", "gone stream"],
    [() => event.wait(goneStream), "AUX_DISPOSED", "gone stream"],
    [() => goneEvent.record(), "AUX_DISPOSED", "gone event"],
    [() => goneEvent.wait(), "AUX_DISPOSED", "gone event"],
    [() => goneEvent.query(), "AUX_DISPOSED", "gone event"],
    [() => goneEvent.synchronize(), "AUX_DISPOSED", "gone event"],
    [() => goneEvent.handle, "AUX_DISPOSED", "gone event"],
  ])
  refuses("event.elapsedTime", () => [
    ...each([undefined, null, 5, {}], loose(event, "elapsedTime"), "AUX_INVALID_ARGUMENT", "end"),
    [() => event.elapsedTime(foreignEvent), "AUX_DEVICE_MISMATCH", "foreign event", "cuda:99", "host"],
    [() => event.elapsedTime(event), "AUX_NOT_READY", "an event", "timing: true"],
    [() => event.elapsedTime(goneEvent), "AUX_NOT_READY", "an event"],
    [() => goneEvent.elapsedTime(event), "AUX_DISPOSED", "gone event"],
  ])
  rejects("event.completed", () => [
    ...each(noObjects, loose(event, "completed"), "AUX_INVALID_ARGUMENT", "options"),
    ...each(noSignals, (signal) => loose(event, "completed")({ signal }), "AUX_INVALID_ARGUMENT", "signal"),
    [() => goneEvent.completed(), "AUX_DISPOSED", "gone event"],
  ])
})
