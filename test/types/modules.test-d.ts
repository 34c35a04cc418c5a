import { defineModule, type HostLaunch } from "auxstream"
import { expectTypeOf as type } from "expect-type"
import { type Device, type DeviceArray, type Kernel, type HostKernel } from "auxstream"
declare const device: Device
declare const x: DeviceArray<"float32">
const host = { source: "" }
const listed = defineModule({
  host: { source: "", exports: ["scale", "sum"] },
  globals: { table: ["float32", 4], count: ["int64", 1, "constant"] },
})
const scale = listed.kernel({ name: "scale", signature: ["int32", "inout float32*"] })
type(scale).toEqualTypeOf<Kernel<readonly ["int32", "inout float32*"]>>()
listed.kernel({ name: "other", signature: [], host: { export: "sum" } })
// @ts-expect-error no such export
listed.kernel({ name: "missing", signature: [] })
// @ts-expect-error no such export
listed.kernel({ name: "scale", signature: [], host: { export: "missing" } })
type(listed.global(device, "table")).toEqualTypeOf<DeviceArray<"float32">>()
type(listed.global(device, "count")).toEqualTypeOf<DeviceArray<"int64">>()
// @ts-expect-error no such global
listed.global(device, "missing")
const any = defineModule({ host })
any.kernel({ name: "whatever", signature: [], cuda: { symbol: "f<1>" }, host: { export: "g" } })
any.kernel({ name: "whatever", signature: [], host: undefined })
// @ts-expect-error it has no globals
any.global(device, "table")
declare const namespace: {
  readonly scale: HostKernel<["int32", "inout float32*"]>
  plain(launch: HostLaunch, n: number, x: Float32Array): void
  readonly constant: number
}
const typed = defineModule({ host: { module: "", exports: namespace } })
typed.kernel({ name: "scale", signature: ["int32", "inout float32*"] }).launch({ grid: 1, block: 1 }, 1, x)
typed.kernel({ name: "plain", signature: ["int32", "inout float32*"] })
typed.kernel({ name: "other", signature: ["int32", "inout float32*"], host: { export: "plain" } })
// @ts-expect-error no such export
typed.kernel({ name: "missing", signature: [] })
// @ts-expect-error another signature
typed.kernel({ name: "scale", signature: ["int32", "inout int32*"] })
// @ts-expect-error no function
typed.kernel({ name: "constant", signature: [] })
