// Letters and bars over the picture. Bindings: title_meteor_frame.wgsl. Vertex buffer 0, per instance:
// Glyph; draw 4 vertices as a strip. Output is premultiplied.

struct Glyph {
    // Left, top, width, height in px of a picture 720 px high.
    @location(0) rect: vec4<f32>,
    // Left, top, width, height in the atlas, 0..=1; no width for a plain bar.
    @location(1) cell: vec4<f32>,
    @location(2) colour: vec4<f32>,
}

struct Letter {
    @builtin(position) position: vec4<f32>,
    @location(0) uv: vec2<f32>,
    @location(1) @interpolate(flat) colour: vec4<f32>,
    // Atlas falls from 1 to 0 over this many px of the picture; 0 for a bar.
    @location(2) @interpolate(flat) slope: f32,
}

@group(0) @binding(1) var lettering: texture_2d<f32>;
@group(0) @binding(2) var smooth_sampler: sampler;

@vertex
fn text_vertex(@builtin(vertex_index) index: u32, glyph: Glyph) -> Letter {
    let corner = vec2<f32>(f32(index & 1u), f32(index >> 1u));
    let at = glyph.rect.xy + glyph.rect.zw * corner;
    let clip = vec2<f32>(at.x / frame.up.w * 2.0 - 1.0, 1.0 - at.y / 720.0 * 2.0);
    // A cell is 9.6 grid units high and the field reaches 1.1 of them.
    let slope = select(0.0, glyph.rect.w / 8.7, glyph.cell.z > 0.0);
    return Letter(vec4<f32>(clip, 0.0, 1.0), glyph.cell.xy + glyph.cell.zw * corner, glyph.colour, slope);
}

@fragment
fn text_fragment(letter: Letter) -> @location(0) vec4<f32> {
    let near = textureSampleLevel(lettering, smooth_sampler, letter.uv, 0.0).r;
    let ink = clamp((near - 0.60) * letter.slope + 0.5, 0.0, 1.0);
    let glow = near * near * 0.38;
    // Dark around the letters keeps them readable over a bright sky.
    let shade = min(near * 0.75, 0.45);
    let letter_colour = vec4<f32>(letter.colour.rgb * max(ink, glow), max(ink, shade));
    let drawn = select(vec4<f32>(letter.colour.rgb, 1.0), letter_colour, letter.slope > 0.0);
    return drawn * letter.colour.a;
}
