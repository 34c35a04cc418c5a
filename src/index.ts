// The declarations name AbortSignal, URL and Symbol.dispose, and TypeScript 6 and later load no @types on their own.
/// <reference types="node" preserve="true" />
/**
 * CUDA streams for TypeScript: run independent pieces of GPU work side by side, and join them.
 *
 * Begin with {@link openDevice}, {@link defineKernel} and {@link parallel}. Every error is an {@link AuxstreamError}.
 *
 * @example
 * import { defineKernel, openDevice, parallel } from "auxstream"
 *
 * const scale = defineKernel({
 *   name: "scale",
 *   signature: ["int32", "float32", "inout float32*"],
 *   cuda: { file: new URL("scale.cu", import.meta.url) },
 *   host: { module: new URL("scale.js", import.meta.url) },
 * })
 * const device = openDevice() // the first usable GPU, otherwise the host device
 * const [a, b] = [device.full("float32", 256, 1), device.full("float32", 256, 2)]
 * parallel([
 *   () => scale.launch({ grid: 1, block: 256 }, 256, 10, a),
 *   () => scale.launch({ grid: 1, block: 256 }, 256, 10, b), // side by side with the first
 * ])
 * console.log(await a.read(), await b.read())
 *
 * @module auxstream
 */
import "./backends.js"
import "./runtime/inspect.js"
import "./sanitizer/environment.js"
import "./trace/environment.js"
import "./trace/graph-file.js"

export type { DeviceProperties, Version } from "./common/facts/device-properties.js"
export type {
  DType,
  DTypeOf,
  Float16Elements,
  ScalarOf,
  SourceOf,
  TypedArray,
  TypedArrayOf,
} from "./common/dtype/dtype.js"
export type { KernelAttributes, KernelOccupancy, SuggestedBlock } from "./common/facts/kernel-facts.js"
export type { DeviceId, DeviceListing, OpenOptions } from "./driver/backend.js"
export type { MemoryUsage } from "./driver/memory.js"
export type { CompileOptions, CudaModuleBody, HostModuleBody } from "./driver/module-body.js"

export type { CompletionOptions } from "./runtime/order/completion.js"
export type { Device } from "./runtime/device/device.js"
export type { EventOptions } from "./runtime/device/device-events.js"
export type { StreamOptions } from "./runtime/device/device-streams.js"
export type { PrepareOptions } from "./runtime/device/prepare-options.js"
export type { LoadableFile, LoadOptions } from "./runtime/load/load-options.js"
export type { AnyArray } from "./runtime/device/array/arrays.js"
export type { DeviceArray } from "./runtime/device/array/device-array.js"
export type { CopyShape, RowsShape } from "./runtime/device/array/rows.js"
export * from "./common/errors.js"
export type { Event } from "./runtime/device/event.js"
export { type Float16DType, fromFloat32, type NarrowFloatDType, toFloat32 } from "./common/dtype/float16.js"
export { captureGraph, type CaptureOptions, type GraphMessage } from "./runtime/graph/capture-graph.js"
export type { Graph } from "./runtime/graph/graph.js"
export type { GraphNode, GraphNodeKind } from "./runtime/graph/graph-node.js"
export { type Condition, runIf, runWhile } from "./runtime/graph/conditional.js"
export type { CudaKernelBody, HostKernelBody } from "./runtime/kernel/kernel-body.js"
export { defineKernel, type KernelDefinition } from "./runtime/kernel/define-kernel.js"
export type { Kernel, LaunchOptions } from "./runtime/kernel/kernel.js"
export type { OccupancyOptions, SuggestBlockOptions } from "./runtime/kernel/occupancy.js"
export {
  defineModule,
  type ExportName,
  type HostExports,
  type KernelModule,
  type ModuleDefinition,
  type ModuleKernelDefinition,
} from "./runtime/kernel/module.js"
export type { Dimensions } from "./runtime/kernel/launch-shape.js"
export type { PinnedArray } from "./runtime/device/array/pinned-array.js"
export { type DeviceSelector, listDevices, openDevice } from "./runtime/registry.js"
export type {
  Access,
  Argument,
  Arguments,
  Field,
  Fields,
  HostArgument,
  HostKernel,
  GlobalDefinition,
  Globals,
  Labelled,
  HostLaunch,
  OpaqueBytes,
  Parameter,
  Pointer,
  StructParameter,
} from "./runtime/kernel/parameter-types.js"
export { currentStream } from "./runtime/device/current-stream.js"
export type { ExternalUses, Stream } from "./runtime/device/stream.js"
export type { OperationKind } from "./runtime/order/observer/operation.js"
export type { RegionName } from "./runtime/order/observer/region.js"

export { measuredOverlap, type MeasuredOverlap, type MeasuredOverlapOptions } from "./overlap/measured-overlap.js"
export type { CallKind } from "./overlap/file/stored.js"
export type { OverlapDecision, OverlapState } from "./overlap/overlap-decision.js"
export type { OverlapOptions } from "./runtime/order/policy/overlap-options.js"
export type {
  GraphOverlap,
  OverlapKey,
  OverlapMode,
  OverlapNote,
  OverlapPhase,
  OverlapPolicy,
} from "./runtime/order/policy/overlap-policy.js"

export { DataRaceError, type RaceAccess, type RaceFacts, type RaceFix } from "./sanitizer/report/data-race-error.js"
export type { AccessOptions } from "./sanitizer/access/options.js"
export { type Sanitizer, type SanitizerOptions, startSanitizer } from "./sanitizer/sanitizer.js"

export { executeInParallel, type ParallelOptions } from "./parallel/execute-in-parallel.js"
export { fork, type Fork, type ForkOptions } from "./parallel/fork.js"
export { maybeExecuteInParallel } from "./parallel/maybe-execute-in-parallel.js"
export { isMultiStreamEnabled, withMultiStream } from "./parallel/multi-stream.js"
export { parallel } from "./parallel/parallel.js"
export type { ParallelMessage, ParallelReason } from "./parallel/report.js"
export type { Join, Now } from "./common/results/types.js"
export type { AllAwaited, AllNow, Branch, Joined, JoinedWith, Results } from "./parallel/types.js"

export { autoParallel, type AutoParallelOptions, inOrder } from "./placement/auto-parallel.js"
export type { PlacedOperation, PlacementEdge, PlacementReport } from "./placement/explanation.js"

export { startTrace, type Trace, type TraceOptions } from "./trace/trace.js"
export type { SvgOptions, TraceReport } from "./trace/report.js"
export type {
  SpanKind,
  TimeSource,
  TraceCall,
  TraceData,
  TracedDevice,
  TracedOverlap,
  TracedPolicy,
  TracedStream,
  TraceRegion,
  TraceSpan,
  TraceWait,
} from "./trace/data/data.js"
export type { DeviceFigures, LossReason, OverlapFigures, RegionFigures, TraceFigures } from "./trace/data/figures.js"
