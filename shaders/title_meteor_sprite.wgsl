// Spots of light and shade: glows, rings, bolts, shadows. Bindings: title_meteor_frame.wgsl. Vertex
// buffer 0, per instance: Sprite; draw 4 vertices as a strip. Output is premultiplied: rgb is added, a
// hides what lies behind.

struct Sprite {
    // Position and radius.
    @location(0) place: vec4<f32>,
    // Half of the length as a vector; w: 0 glow, 1 ring, 2 bolt, 3 shade on the ground, 4 flat ring, 5 line
    // across the ground.
    @location(1) along: vec4<f32>,
    @location(2) colour: vec4<f32>,
}

struct Spot {
    @builtin(position) position: vec4<f32>,
    @location(0) uv: vec2<f32>,
    @location(1) @interpolate(flat) colour: vec4<f32>,
    @location(2) @interpolate(flat) look: f32,
}

@vertex
fn sprite_vertex(@builtin(vertex_index) index: u32, sprite: Sprite) -> Spot {
    let uv = vec2<f32>(f32(index & 1u) * 2.0 - 1.0, f32(index >> 1u) * 2.0 - 1.0);
    let size = sprite.place.w;
    var across = normalize(frame.right.xyz) * size;
    var along = normalize(frame.up.xyz) * size;
    let stretch = length(sprite.along.xyz);
    if sprite.along.w > 2.5 {
        across = vec3<f32>(select(size, 130.0, sprite.along.w > 4.5), 0.0, 0.0);
        along = vec3<f32>(0.0, 0.0, size);
    } else if stretch > 0.0 {
        let way = sprite.along.xyz / stretch;
        let sight = normalize(sprite.place.xyz - frame.eye.xyz);
        across = normalize(cross(way, sight) + vec3<f32>(1e-5, 0.0, 0.0)) * size;
        along = way * (stretch + size);
    }
    let world = sprite.place.xyz + across * uv.x + along * uv.y;
    return Spot(frame.projection * vec4<f32>(world, 1.0), uv, sprite.colour, sprite.along.w);
}

@fragment
fn sprite_fragment(spot: Spot) -> @location(0) vec4<f32> {
    if spot.look == 5.0 {
        return vec4<f32>(spot.colour.rgb * (1.0 - spot.uv.y * spot.uv.y), 0.0);
    }
    let square = dot(spot.uv, spot.uv);
    let soft = max(1.0 - square, 0.0);
    if spot.look == 1.0 || spot.look == 4.0 {
        let ring = max(1.0 - abs(square - 0.82) * 7.0, 0.0);
        return vec4<f32>(spot.colour.rgb * ring, 0.0);
    }
    if spot.look == 2.0 {
        let core = max(1.0 - square * 3.2, 0.0);
        return vec4<f32>(spot.colour.rgb * soft * soft + vec3<f32>(core * max(spot.colour.g, spot.colour.r)), 0.0);
    }
    return vec4<f32>(spot.colour.rgb * soft * soft, spot.colour.a * soft);
}
