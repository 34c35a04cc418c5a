/** Finds the global arrays of a loaded module, and compares their sizes with their declarations. */
import { elementsOf } from "../../common/dtype/elements.js"
import { AuxstreamError } from "../../common/errors.js"
import type { GlobalDeclaration, LoadedGlobal, ModuleSource } from "../../driver/modules.js"
import type { CudaContext } from "../api/context.js"
import { NOT_FOUND } from "../api/status.js"
import { listed, named } from "../image/symbols.js"
import type { LoadedModule } from "./loaded-module.js"

/** The globals in the order of their declarations. The device must be idle: CUDA brings them into the context now. */
export function findGlobals(context: CudaContext, source: ModuleSource, module: LoadedModule): readonly LoadedGlobal[] {
  module.globals = source.globals.map((declaration) => findGlobal(context, module, declaration))
  module.isProven = true
  return module.globals
}

function findGlobal(context: CudaContext, module: LoadedModule, declaration: GlobalDeclaration): LoadedGlobal {
  const { name, dtype, length, isConstant } = declaration
  const { globals } = module.symbols
  const [symbol = name] = named(name, globals.keys())
  const { calls, out, room } = context
  const find = () => calls.cuLibraryGetGlobal(out.address, out.address + 8, module.library, symbol)
  const status = context.within(() => room.for(find))
  const among = `The globals of its code are ${listed(globals.keys())}.`
  if (status === NOT_FOUND) {
    const reason = `${module.label} has no global ${JSON.stringify(name)} in its code for CUDA. ${among}`
    throw new AuxstreamError(
      "AUX_KERNEL_INVALID",
      `${reason} A __device__ variable that no kernel uses may be left out.`,
    )
  }
  context.check(status, "cuLibraryGetGlobal")
  const [address, byteLength] = [out.number(0), out.number(8)]
  const declared = length * elementsOf(dtype).byteLength
  if (byteLength === declared) return { address, isConstant: isConstant || globals.get(symbol) === true }
  throw new AuxstreamError(
    "AUX_KERNEL_INVALID",
    `${module.label} must declare the global ${JSON.stringify(name)} in the size that it has in the code, ${byteLength} bytes; ` +
      `got [${JSON.stringify(dtype)}, ${length}], which has ${declared} bytes. ${among}`,
  )
}
