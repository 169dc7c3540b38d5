//! The words of a sweep file: kinds of heads, initial weights, losses, optimisers, schedules.

use serde::{Deserialize, Serialize};

/// Declares an enum whose variants are words of a sweep file, with the list of those words.
macro_rules! choices {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// The words for it in a sweep file.
            pub const CHOICES: &'static [&'static str] = &[$($word),+];

            /// Its word in a sweep file.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

choices! {
    /// The kind of a head.
    HeadKind {
        /// (Dropout and) one fully connected layer.
        Linear = "linear",
        /// Fully connected layers with an activation and dropout between them.
        Dense = "dense",
        /// Global average pooling of a map, then a linear layer.
        Gap = "gap",
        /// Global average pooling of a map, dropout, then a linear layer.
        GapDropout = "gap-dropout",
        /// The backbone's own fully connected layers, the last one replaced.
        Classifier = "classifier",
        /// Least squares on ±1 targets: a linear layer, solved for.
        Ridge = "ridge",
        /// Logistic regression with an L2 penalty: a linear layer, solved for.
        Logreg = "logreg",
        /// Weighted k nearest neighbours.
        Knn = "knn",
        /// The nearest class mean: a linear layer.
        NearestMean = "nearest-mean",
    }
}

impl HeadKind {
    /// Whether it is solved for, without a learning rate, rather than trained.
    pub const fn is_solved(self) -> bool {
        match self {
            HeadKind::Ridge | HeadKind::Logreg | HeadKind::Knn | HeadKind::NearestMean => true,
            HeadKind::Linear | HeadKind::Dense | HeadKind::Gap | HeadKind::GapDropout | HeadKind::Classifier => false,
        }
    }

    /// Whether it pools maps before its first layer.
    pub const fn pools(self) -> bool {
        match self {
            HeadKind::Gap | HeadKind::GapDropout => true,
            HeadKind::Linear
            | HeadKind::Dense
            | HeadKind::Classifier
            | HeadKind::Ridge
            | HeadKind::Logreg
            | HeadKind::Knn
            | HeadKind::NearestMean => false,
        }
    }

    /// Whether it has hidden layers.
    pub const fn has_hidden_layers(self) -> bool {
        match self {
            HeadKind::Dense | HeadKind::Classifier => true,
            HeadKind::Linear
            | HeadKind::Gap
            | HeadKind::GapDropout
            | HeadKind::Ridge
            | HeadKind::Logreg
            | HeadKind::Knn
            | HeadKind::NearestMean => false,
        }
    }
}

choices! {
    /// Activation between layers.
    Activation {
        /// max(x, 0)
        Relu = "relu",
        /// x · Φ(x), the exact (erf) form
        Gelu = "gelu",
    }
}

choices! {
    /// The initial weights.
    Init {
        /// PyTorch's `Linear`: weights and biases uniform in ±1/√inputs.
        Torch = "torch",
        /// Weights uniform in ±√(6 / (inputs + outputs)) (Glorot, Keras's default), biases 0.
        Xavier = "xavier",
        /// Weights uniform in ±√(6 / inputs) (He), biases 0.
        Kaiming = "kaiming",
        /// All 0: for single layers.
        Zero = "zero",
        /// The backbone's weights, the last layer as by `torch`: for head `classifier`.
        Pretrained = "pretrained",
        /// As `torch`: the control for `pretrained`.
        Random = "random",
    }
}

choices! {
    /// The loss that is minimised.
    Loss {
        /// Sigmoid where rows have several classes, else softmax.
        Auto = "auto",
        /// Cross-entropy over classes that exclude each other.
        Softmax = "softmax",
        /// Binary cross-entropy: one output for two classes, else one a class (one versus rest
        /// where classes exclude each other).
        Sigmoid = "sigmoid",
    }
}

choices! {
    /// The weights of the classes in the loss.
    ClassWeights {
        /// Equal weights.
        None = "none",
        /// Inversely to their frequency: rows / (classes · rows of the class), as scikit-learn
        /// does.
        Balanced = "balanced",
    }
}

choices! {
    /// The update that turns gradients into steps, each as PyTorch defines it.
    OptimizerKind {
        /// Stochastic gradient descent, with momentum and Nesterov's variant.
        Sgd = "sgd",
        /// RMSprop, also centred and with momentum.
        Rmsprop = "rmsprop",
        /// Adam, also with AMSGrad; weight decay joins the gradient.
        Adam = "adam",
        /// Adam with weight decay apart from the gradient.
        Adamw = "adamw",
    }
}

choices! {
    /// The library whose update is used, and whose defaults stand in for settings that are not
    /// given.
    Preset {
        /// PyTorch's: RMSprop α 0.99, ε 1e-8; Adam ε 1e-8.
        Torch = "torch",
        /// Keras's: RMSprop ρ 0.9, ε 1e-7 under the root; Adam ε 1e-7 beside a root that is not yet
        /// corrected; weight decay apart from the gradient.
        Keras = "keras",
    }
}

choices! {
    /// The course of the learning rate over the epochs.
    Schedule {
        /// A constant rate.
        Constant = "constant",
        /// Multiplied by `gamma` after every `step_size` epochs.
        Step = "step",
        /// Falls to 0 along half a cosine.
        Cosine = "cosine",
    }
}

choices! {
    /// Whether the learning rate refers to a batch of 256.
    LrScale {
        /// The rate is used as it is.
        None = "none",
        /// The rate is multiplied by batch size / 256.
        Batch = "batch",
    }
}
