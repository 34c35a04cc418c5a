import { currentDevice, currentStream as streamHere } from "./current.js"
import type { Device } from "./device.js"
import type { Stream } from "./stream.js"

/**
 * The stream that receives work if you name none: the stream of the innermost {@link Stream.run}, otherwise the device's
 * default stream. It follows `await`. PyTorch: `torch.cuda.current_stream`.
 *
 * Inside {@link autoParallel}, everything queued before is joined on it first.
 *
 * @param device default: the device of the innermost `run`, otherwise the only open device
 * @throws AuxstreamError AUX_AMBIGUOUS_DEVICE if there is no such device, AUX_INVALID_ARGUMENT, AUX_DISPOSED
 * @example
 * aux.run(() => currentStream() === aux) // true
 */
export function currentStream(device: Device = currentDevice()): Stream {
  const stream = streamHere(device)
  stream.state.order.named()
  return stream
}
