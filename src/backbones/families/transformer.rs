//! Vision transformers (Dosovitskiy et al. 2021): the parts that ViT, DINOv2 and CLIP's image
//! encoder share.
//!
//! Parameters have the names that DINOv2's own files and timm give them
//! (`blocks.0.attn.qkv.weight`); torchvision's, Hugging Face's and OpenAI's are mapped to these by
//! `weights::mapping`.
//!
//! Taps: `cls`, the class token behind the final norm; `patch-mean`, the mean of all other tokens
//! behind it; `map`, these tokens `[D, H, W]` where their patches were; `flat`, that map flattened;
//! `blocks.N`, all tokens behind block N as they are, `[1 + H · W, D]`, the class token first;
//! `gap` = `cls`, as timm, Hugging Face and the originals pool.

use crate::backbones::net::{Net, Value, Window};
use crate::graph::{Act, Tokens};

/// Differences between the networks.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub width: usize,
    pub depth: usize,
    pub heads: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Rows and columns of patches that the positions were trained on.
    pub grid: usize,
    /// See [`Tokens::offset`].
    pub offset: f64,
    /// Whether patches are embedded with a bias and tokens enter the first block as they are; else
    /// a norm comes first (CLIP).
    pub bias: bool,
    /// Whether each branch of a block has a learned scale (DINOv2).
    pub scales: bool,
    pub act: Act,
}

impl Shape {
    /// ViT-B: 12 blocks of width 768 with 12 heads.
    pub(super) const fn base(patch: usize, grid: usize) -> Shape {
        Shape { width: 768, depth: 12, heads: 12, patch, grid, offset: 0.0, bias: true, scales: false, act: Act::Gelu }
    }

    /// The network up to its taps. Returns the class token and the mean of the others, both behind
    /// the final norm.
    pub(super) fn build(&self, net: &mut Net, x: Value) -> [Value; 2] {
        let window = Window::square(self.patch).stride(self.patch);
        let patches = net.conv("patch_embed.proj", x, self.width, if self.bias { window.bias() } else { window });
        let tokens = Tokens { channels: self.width, patch: self.patch, grid: self.grid, offset: self.offset };
        let mut x = net.tokens("tokens", patches, tokens);
        if !self.bias {
            x = net.layer_norm("norm_pre", x);
        }
        for index in 0..self.depth {
            x = self.block(net, &format!("blocks.{index}"), x);
        }
        let x = net.layer_norm("norm", x);
        let class = net.class_token("cls", x);
        let map = net.patch_map("patch_map", x, patches);
        let mean = net.whole_and_mean(map, "patch-mean");
        net.tap("cls", class);
        net.tap("gap", class);
        [class, mean]
    }

    fn block(&self, net: &mut Net, name: &str, x: Value) -> Value {
        let y = net.layer_norm(format!("{name}.norm1"), x);
        let y = net.linear(format!("{name}.attn.qkv"), y, 3 * self.width);
        let y = net.attention(format!("{name}.attn"), y, self.heads);
        let y = net.linear(format!("{name}.attn.proj"), y, self.width);
        let x = self.add(net, name, 1, x, y);
        let y = net.layer_norm(format!("{name}.norm2"), x);
        let y = net.linear(format!("{name}.mlp.fc1"), y, 4 * self.width);
        let y = net.act(format!("{name}.mlp.act"), y, self.act);
        let y = net.linear(format!("{name}.mlp.fc2"), y, self.width);
        let x = self.add(net, name, 2, x, y);
        net.tap(name, x);
        x
    }

    /// A branch, scaled if need be, added to its input.
    fn add(&self, net: &mut Net, name: &str, branch: usize, x: Value, y: Value) -> Value {
        let y = if self.scales { net.token_scale(format!("{name}.ls{branch}.gamma"), y) } else { y };
        net.add(format!("{name}.add{branch}"), y, x)
    }
}

#[cfg(test)]
mod tests {
    //! An independent opinion: candle-transformers' models, as far as they go (one size of image,
    //! no taps), on the same weights under their names.

    use candle_core::{DType, Device, IndexOp, Tensor};
    use candle_nn::{Module, VarBuilder, VarMap};
    use candle_transformers::models::{clip, vit};

    use super::*;
    use crate::engine::{Batch, CandleEngine, Engine, centred_error};
    use crate::graph::{Graph, Parameter};
    use crate::weights::{Formula, TensorSource, mapping};

    const SIZE: usize = 12;
    const IMAGES: usize = 3;

    fn small(base: Shape) -> Shape {
        Shape { width: 32, depth: 2, heads: 4, patch: 4, grid: 3, ..base }
    }

    fn graph(shape: Shape, eps: f64, last: impl Fn(&mut Net, Value)) -> Graph {
        let (mut net, x) = Net::new(eps);
        let [class, _] = shape.build(&mut net, x);
        last(&mut net, class);
        net.finish()
    }

    fn images() -> Tensor {
        let values =
            Formula::new(vec![Parameter { name: "image".into(), shape: vec![IMAGES, 3, SIZE, SIZE] }], 1).read("image").unwrap().data;
        Tensor::from_vec(values, (IMAGES, 3, SIZE, SIZE), &Device::Cpu).unwrap().affine(20.0, 0.0).unwrap()
    }

    /// The weights that a model of candle-transformers asked for, by the formula, and the same as a
    /// file would give them to our graph.
    fn weights(variables: &VarMap, backbone: &str) -> Box<dyn TensorSource> {
        let variables = variables.data().lock().unwrap();
        let parameters = variables.iter().map(|(name, var)| Parameter { name: name.clone(), shape: var.dims().to_vec() }).collect();
        let formula = Formula::new(parameters, 0);
        for (name, var) in variables.iter() {
            var.set(&Tensor::from_vec(formula.read(name).unwrap().data, var.shape(), &Device::Cpu).unwrap()).unwrap();
        }
        mapping::adapt(&crate::backbones::find(backbone).unwrap().naming, &[], Box::new(formula)).source
    }

    fn agree(graph: &Graph, source: &dyn TensorSource, wanted: &[(&str, Tensor)]) {
        let taps: Vec<String> = wanted.iter().map(|(tap, _)| tap.to_string()).collect();
        let engine = CandleEngine::new(graph, source, &taps, [3, SIZE, SIZE], &Device::Cpu, DType::F32).unwrap();
        let data: Vec<f32> = images().flatten_all().unwrap().to_vec1().unwrap();
        let got = engine.run(Batch::Floats { images: IMAGES, shape: [3, SIZE, SIZE], data: &data }).unwrap();
        for ((tap, want), got) in wanted.iter().zip(got) {
            let error = centred_error(&got, &want.flatten_all().unwrap().to_vec1::<f32>().unwrap(), IMAGES);
            assert!(error < 5e-6, "{tap}: {error:e}");
        }
    }

    #[test]
    fn vit_is_candle_transformers_vit() {
        let config = vit::Config {
            hidden_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 128,
            image_size: SIZE,
            patch_size: 4,
            layer_norm_eps: 1e-6,
            ..vit::Config::vit_base_patch16_224()
        };
        let variables = VarMap::new();
        let model = vit::Model::new(&config, 5, VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu)).unwrap();
        let source = weights(&variables, "vit_b_16");
        let graph = graph(small(Shape::base(4, 3)), 1e-6, |net, class| net.logits("head", class, 5));
        agree(&graph, &*source, &[("logits", model.forward(&images()).unwrap())]);
    }

    #[test]
    fn clip_is_candle_transformers_clip() {
        let config = clip::vision_model::ClipVisionConfig {
            embed_dim: 32,
            intermediate_size: 128,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            image_size: SIZE,
            patch_size: 4,
            ..clip::vision_model::ClipVisionConfig::vit_base_patch32()
        };
        let variables = VarMap::new();
        let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu).pp("vision_model");
        // The model makes up a class token where it finds none.
        vb.pp("embeddings").get(32, "class_embedding").unwrap();
        let model = clip::vision_model::ClipVisionTransformer::new(vb, &config).unwrap();
        let source = weights(&variables, "clip_vit_b_32");
        let shape = Shape { bias: false, act: Act::QuickGelu, ..small(Shape::base(4, 3)) };
        let hidden = model.output_hidden_states(&images()).unwrap();
        let pooled = model.forward(&images()).unwrap();
        assert_eq!(hidden[0].i(0).unwrap().dims(), [10, 32]);
        let wanted = [("blocks.0", hidden[0].clone()), ("blocks.1", hidden[1].clone()), ("gap", pooled)];
        agree(&graph(shape, 1e-5, |_, _| ()), &*source, &wanted);
    }
}
