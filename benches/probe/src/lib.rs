//! `nearframe-probe`: a small program that behaves like a game, well or badly, so that tests and benches
//! know what a title did from nothing but the picture that a player sees. It is no part of what ships.
//!
//! # What a picture says
//!
//! **The stamp.** Every picture of the main window carries the testcard's stamp ([`stamp`],
//! `docs/testcard.md`) at the top left: when it was drawn (CLOCK_MONOTONIC, µs), which picture it is, and how
//! many input events (keys, buttons, pointer, wheel, touches) had reached the program by then.
//!
//! **The cells.** Below it, the picture is a grid of 16 columns × 9 rows, as [`cells`] reads it: cell
//! (column, row) covers x from ⌊column·width÷16⌋ to ⌊(column+1)·width÷16⌋, and y likewise with 9 and the
//! height. A cell has one of eight colours, a bit for each of red (1), green (2) and blue (4), fully on or fully
//! off. Row 0 belongs to the stamp.
//!
//! **Numbers.** A number fills a row, three bits to a cell, the least significant in column 0. The 48 bits are
//! those of a u32 and, above it, of the CRC-16/CCITT-FALSE of the row (one byte) and of the number's four
//! bytes, least significant first; the row is counted so that a picture that is out of place is refused.
//!
//! Row 1 is the same in every mode: mode × 65536 + phase. What follows depends on the mode:
//!
//! | mode | phases | rows |
//! | --- | --- | --- |
//! | 1 stamp, 2 x11 | none | none: the lamps and the marker of the testcard instead, and no row 1; with `--moving` its moving picture behind them. Mode 2 has lamps for a gamepad's buttons, from 261 on: bit = code − 0x130 |
//! | 3 dialog | 0 dialog open, 1 pop-up open, 2 pop-up dismissed by the compositor, 3 both closed | the dialog is magenta, 4 × 3 cells large (centred: columns 6–9, rows 3–5); the pop-up is cyan and covers columns 12–13, rows 6–7 |
//! | 4 launcher | 0 | the launcher's window is yellow all over; the game that follows is an ordinary picture |
//! | 5 crash, 6 hang, 8 slow, 9 flood, 10 exit, 16 spin | 0 | none |
//! | 7 eat | 0 | 2: MiB held |
//! | 11 lock | 0 unlocked, 1 locked | 2, 3: sum of the relative motion x, y as i32 in 1/256 px |
//! | 12 cursor | 0 a picture of 32 × 32 px, hot at (4, 6), its left half opaque magenta, its right half green at half strength; 1 crosshair; 2 hidden | none |
//! | 13 text | 0 waiting, 1 text-input is active | 2: bytes received, 3: FNV-1a (32 bit) of all of them |
//! | 21 type | 0 | as 13, of the text that keys make |
//! | 14 pad | 0 none, 1 open | 2: buttons, bit = code − 0x130; 3, 4: left, right stick, x and above it y as i16; 5: triggers, left and above it right as u8, then hat x + 1, y + 1 in two bits each |
//! | 15 touch | number of points down | 2–7: points in slots 0–5 as x and above it y in px, 0xFFFFFFFF where there is none |
//! | 17 beep | 0 | 2: beeps so far; rows 6–8 are white for 100 ms after a press and black otherwise |
//! | 18 save | 0 kept, 1 could not be written | 2: the count |
//! | 19 evil | 0 all failed, 1 some escape worked | 2: escapes tried, 3: escapes that worked, a bit each; rows 6–8 are green or red |
//!
//! **From a page.** Draw the `<video>` unscaled into a canvas, take the mean of the middle half of each cell
//! from `getImageData`, and call a channel on above 127. A number is then
//! `cells.slice(16 * row, 16 * row + 16).reduceRight((sum, cell) => sum * 8n + BigInt(cell), 0n)`, its value
//! `Number(sum & 0xffffffffn)` and its checksum `Number(sum >> 32n)`.

#![forbid(unsafe_code)]

pub mod canvas;
pub mod cells;
mod crc;
pub mod mode;
pub mod motion;
pub mod stamp;
