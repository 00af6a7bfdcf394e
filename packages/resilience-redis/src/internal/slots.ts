/**
 * Which slot of a Redis Cluster a key lies in.
 */

/** CRC-16/XMODEM by the byte. */
const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc
})

/** The part that is hashed: what stands in the first braces, if anything does. */
const tagOf = (key: string): string => {
  const open = key.indexOf("{")
  if (open < 0) return key
  const close = key.indexOf("}", open + 1)
  return close <= open + 1 ? key : key.slice(open + 1, close)
}

export const slotOf = (key: string): number => {
  let crc = 0
  for (const byte of Buffer.from(tagOf(key))) crc = ((crc << 8) & 0xffff) ^ table[(crc >> 8) ^ byte]!
  return crc & 16_383
}
